import { Search } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, useSearchParams } from "react-router";
import type { Reading, Tag } from "@/api/plant";
import { Button } from "@/components/ui/button";
import { Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { tagPath } from "./location";
import { MAX_TAGS, useMayRead, useReadings, useTags } from "./queries";
import { isAbnormal } from "./reading";
import { NoValues, ReadingMarks, TagTrend } from "./tag-detail";
import { useFormatAge, useFormatValue } from "./value";

function Row({ tag, reading, mayRead }: { tag: Tag; reading: Reading | undefined; mayRead: boolean }) {
  const { t } = useI18n();
  const formatValue = useFormatValue();
  const formatAge = useFormatAge();
  const [isOpen, setOpen] = useState(false);
  const about = [tag.description, tag.equipment].filter(Boolean).map((text) => visibleText(text as string));
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-1 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-52">
        <Link
          to={tagPath(tag.tag)}
          className="inline-flex min-h-target min-w-target items-center font-semibold underline-offset-4 [overflow-wrap:anywhere] hover:underline"
        >
          {visibleText(tag.tag)}
        </Link>
        {about.length > 0 && <p className="text-sm text-quiet [overflow-wrap:anywhere]">{about.join(" · ")}</p>}
      </div>
      {reading && (
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <span className="text-lg font-semibold tabular-nums">{formatValue(reading.value, reading.unit ?? tag.unit)}</span>
          <ReadingMarks reading={reading} />
          <span className="text-sm text-quiet">{formatAge(reading.age_s)}</span>
        </div>
      )}
      {mayRead && (
        <Button
          aria-expanded={isOpen}
          aria-label={t("trend.toggle", { tag: visibleText(tag.tag) })}
          onClick={() => setOpen(!isOpen)}
        >
          {t("trend.name")}
        </Button>
      )}
      {isOpen && (
        <div className="basis-full">
          <TagTrend tag={tag.tag} />
        </div>
      )}
    </li>
  );
}

function Found({ tags }: { tags: readonly Tag[] }) {
  const { t } = useI18n();
  const mayRead = useMayRead();
  const readings = useReadings(tags.map(({ tag }) => tag));
  const byTag = new Map(readings.data?.map((reading) => [reading.tag, reading]));
  const abnormal = [...byTag.values()].filter(isAbnormal).length;
  return (
    <>
      <p role="status" className="text-sm text-quiet">
        {t("tags.count", { count: tags.length })}
        {byTag.size > 0 && ` · ${t("tags.abnormal", { count: abnormal })}`}
      </p>
      {!mayRead && <NoValues />}
      {readings.isError && <LoadError error={readings.error} retry={() => void readings.refetch()} />}
      <ul aria-label={t("measuredValues")} className="flex flex-col gap-2">
        {tags.map((tag) => (
          <Row key={tag.tag} tag={tag} reading={byTag.get(tag.tag)} mayRead={mayRead} />
        ))}
      </ul>
      {tags.length >= MAX_TAGS && <Notice tone="plain">{t("tags.more", { count: MAX_TAGS })}</Notice>}
    </>
  );
}

/** Finds tags of the plant by words, and shows their newest values. */
export function TagsPage() {
  const { t } = useI18n();
  const [parameters, setParameters] = useSearchParams();
  const query = parameters.get("q") ?? "";
  const [words, setWords] = useState(query);
  const tags = useTags(query);
  const search = (event: FormEvent) => {
    event.preventDefault();
    setParameters(words.trim() ? { q: words.trim() } : {});
  };
  return (
    <section aria-label={t("measuredValues")} className="flex flex-col gap-3">
      <form role="search" onSubmit={search} className="flex flex-wrap items-end gap-3">
        <Field label={t("tags.query")} className="flex-1 basis-60">
          {(ids) => (
            <Input
              {...ids}
              type="search"
              value={words}
              maxLength={200}
              onChange={(event) => setWords(event.target.value)}
            />
          )}
        </Field>
        <Button type="submit" variant="primary" disabled={!words.trim()}>
          <Search aria-hidden /> {t("find")}
        </Button>
      </form>
      {query === "" && <Empty>{t("tags.hint")}</Empty>}
      {query !== "" && tags.isPending && <Spinner label={t("searching")} />}
      {tags.isError && <LoadError error={tags.error} retry={() => void tags.refetch()} />}
      {tags.data?.length === 0 && <Empty>{t("nothingFound")}</Empty>}
      {tags.data && tags.data.length > 0 && <Found tags={tags.data} />}
    </section>
  );
}
