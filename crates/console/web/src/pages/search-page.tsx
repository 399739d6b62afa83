import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { api, body } from "@/api/client";
import type { SearchResult } from "@/api/types";
import { Page } from "@/components/page";
import { Button } from "@/components/ui/button";
import { Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { SPACE, spaceOf } from "@/space/space";
import { SpaceSwitch } from "@/space/space-switch";
import { documentPath, resultLocation } from "@/viewer/location";

const RESULTS = 20;

/** What is searched for. It is in the address, so that a search can be sent to a colleague. */
interface Wanted {
  query: string;
  tag: string;
  /** Whose documents are searched; everybody's in the plant without it. */
  team: string | undefined;
}

function useResults({ query, tag, team }: Wanted) {
  return useQuery({
    queryKey: ["search", query, tag, team],
    enabled: query !== "",
    queryFn: () => {
      const filters = { ...(tag && { tags: [tag] }), ...(team && { team_ids: [team] }) };
      return body(api.POST("/v1/search", { body: { query, top_k: RESULTS, filters } }));
    },
  });
}

function Result({ result }: { result: SearchResult }) {
  const { t } = useI18n();
  const { doc, page, section, content, title } = result;
  return (
    <li className="rounded-lg border border-line bg-raised">
      <Link to={documentPath(resultLocation(result))} className="block p-4 hover:bg-surface">
        <span className="font-semibold [overflow-wrap:anywhere]">{title || doc}</span>
        <span className="text-sm text-quiet">
          {" · "}
          {doc}
          {page ? `, ${t("pageNumber", { page })}` : ""}
          {section ? ` · ${section}` : ""}
        </span>
        <span className="mt-1 line-clamp-4 whitespace-pre-line">{content}</span>
      </Link>
    </li>
  );
}

export function SearchPage() {
  const { t, number } = useI18n();
  const [parameters, setParameters] = useSearchParams();
  const wanted = { query: parameters.get("q") ?? "", tag: parameters.get("tag") ?? "", team: spaceOf(parameters) };
  const [query, setQuery] = useState(wanted.query);
  const [tag, setTag] = useState(wanted.tag);
  const results = useResults(wanted);
  const search = (event: FormEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    if (query.trim()) next.set("q", query.trim());
    if (tag.trim()) next.set("tag", tag.trim());
    if (wanted.team) next.set(SPACE, wanted.team);
    setParameters(next);
  };
  const choose = (team: string | undefined) => {
    const next = new URLSearchParams(parameters);
    if (team) next.set(SPACE, team);
    else next.delete(SPACE);
    setParameters(next);
  };
  return (
    <Page title={t("search")}>
      <form role="search" onSubmit={search} className="flex flex-wrap items-end gap-3">
        <Field label={t("searchFor")} className="flex-1 basis-60">
          {(ids) => (
            <Input {...ids} type="search" autoFocus value={query} maxLength={1_000} onChange={(event) => setQuery(event.target.value)} />
          )}
        </Field>
        <Field label={t("tag")} className="basis-36">
          {(ids) => <Input {...ids} value={tag} maxLength={64} onChange={(event) => setTag(event.target.value)} />}
        </Field>
        <SpaceSwitch team={wanted.team} onChange={choose} className="basis-60" />
        <Button type="submit" variant="primary" disabled={!query.trim()}>
          <Search aria-hidden /> {t("find")}
        </Button>
      </form>
      {results.isFetching && <Spinner label={t("searching")} />}
      {results.isError && <LoadError error={results.error} retry={() => void results.refetch()} />}
      {results.data && !results.isFetching && (
        <section aria-label={t("results")} className="flex flex-col gap-3">
          <p role="status" className="text-sm text-quiet">
            {t("resultCount", { count: results.data.results.length, ms: number(results.data.took_ms) })}
          </p>
          {results.data.degraded && <Notice tone="warning">{t("searchDegraded")}</Notice>}
          {!results.data.answerable && results.data.results.length > 0 && <Notice tone="warning">{t("notAnswerable")}</Notice>}
          {results.data.results.length === 0 && <Empty>{t("nothingFound")}</Empty>}
          <ul className="flex flex-col gap-3">
            {results.data.results.map((result) => (
              <Result key={result.chunk_id} result={result} />
            ))}
          </ul>
        </section>
      )}
    </Page>
  );
}
