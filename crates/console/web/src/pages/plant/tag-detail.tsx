import { useState } from "react";
import type { Reading, TagLimits } from "@/api/plant";
import { useAccount } from "@/account";
import { Badge, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { useHistory, useMayRead, useReadings } from "./queries";
import { LIMIT_TONES, limitState } from "./reading";
import { TrendChart } from "./trend-chart";
import { QualityMark, useFormatAge, useFormatValue } from "./value";

const HOURS = [1, 8, 24, 168] as const;
const LIMITS = ["alarm_high", "normal_high", "normal_low", "alarm_low"] as const;

/** Why no values are shown, if they are not. */
export function NoValues() {
  const { t } = useI18n();
  const { plant_mode } = useAccount();
  return <Notice tone="plain">{t(plant_mode === "off" ? "reading.plantOff" : "reading.notForViewers")}</Notice>;
}

/** What is abnormal about a value, in words; nothing if it is normal. */
export function ReadingMarks({ reading }: { reading: Reading }) {
  const { t } = useI18n();
  const state = limitState(reading.value, reading.limits);
  return (
    <>
      {state !== "normal" && <Badge tone={LIMIT_TONES[state]}>{t(`limit.${state}` as MessageKey)}</Badge>}
      {reading.stale && <Badge tone="warning">{t("reading.stale")}</Badge>}
      <QualityMark quality={reading.quality} />
    </>
  );
}

function LimitFacts({ limits, unit }: { limits: TagLimits; unit?: string | null }) {
  const { t } = useI18n();
  const formatValue = useFormatValue();
  return LIMITS.map((name) => {
    const limit = limits[name];
    if (limit === null || limit === undefined) return null;
    return (
      <div key={name} className="contents">
        <dt className="text-quiet">{t(`limits.${name}`)}</dt>
        <dd className="tabular-nums">{formatValue(limit, unit)}</dd>
      </div>
    );
  });
}

function Newest({ reading }: { reading: Reading }) {
  const { t, moment } = useI18n();
  const formatValue = useFormatValue();
  const formatAge = useFormatAge();
  const { value, unit, age_s, source_timestamp, source, limits } = reading;
  return (
    <div className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
      <p className="flex flex-wrap items-center gap-3">
        <span className="text-2xl font-semibold tabular-nums [overflow-wrap:anywhere]">{formatValue(value, unit)}</span>
        <ReadingMarks reading={reading} />
        <span className="text-sm text-quiet">{formatAge(age_s)}</span>
      </p>
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1 text-sm">
        <div className="contents">
          <dt className="text-quiet">{t("reading.taken")}</dt>
          <dd>{source_timestamp ? moment(source_timestamp) : t("reading.unknownTime")}</dd>
        </div>
        <div className="contents">
          <dt className="text-quiet">{t("reading.source")}</dt>
          <dd className="[overflow-wrap:anywhere]">{visibleText(source)}</dd>
        </div>
        {limits && <LimitFacts limits={limits} unit={unit} />}
      </dl>
    </div>
  );
}

/** The history of a tag, over a period that can be chosen. */
export function TagTrend({ tag }: { tag: string }) {
  const { t } = useI18n();
  const [hours, setHours] = useState<number>(HOURS[0]);
  const history = useHistory(tag, hours);
  return (
    <section aria-label={t("trend.name")} className="flex flex-col gap-2">
      <Field label={t("period")} className="max-w-60">
        {(ids) => (
          <Select {...ids} value={hours} onChange={(event) => setHours(Number(event.target.value))}>
            {HOURS.map((one) => (
              <option key={one} value={one}>
                {t("trend.hours", { hours: one })}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {history.isPending && <Spinner label={t("loading")} />}
      {history.isError && <LoadError error={history.error} retry={() => void history.refetch()} />}
      {history.data && <TrendChart tag={tag} history={history.data} />}
    </section>
  );
}

/** The newest value of a tag with all that is known of it, and its history. */
export function TagDetail({ tag }: { tag: string }) {
  const { t } = useI18n();
  const mayRead = useMayRead();
  const readings = useReadings([tag]);
  if (!mayRead) return <NoValues />;
  const reading = readings.data?.find((one) => one.tag === tag);
  return (
    <div className="flex flex-col gap-4">
      {readings.isPending && <Spinner label={t("loading")} />}
      {readings.isError && <LoadError error={readings.error} retry={() => void readings.refetch()} />}
      {readings.data && !reading && <Notice tone="warning">{t("reading.unknownTag")}</Notice>}
      {reading && <Newest reading={reading} />}
      <TagTrend tag={tag} />
    </div>
  );
}
