import { useMutation } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useSearchParams } from "react-router";
import { api, body, send } from "@/api/client";
import type { AuditEvent } from "@/api/types";
import { LongList } from "@/components/long-list";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { download } from "@/lib/utils";
import { ChainCheck } from "./chain-check";
import { EventRow } from "./event-row";
import { type Filter, filterOf, queryOf } from "./filter";
import { FilterForm } from "./filter-form";

type Format = "ndjson" | "ocsf";

const PAGE_SIZE = 100;
/** Height of a row that is not opened, in pixels. */
const ROW_HEIGHT = 50;

const FILE_NAMES: Record<Format, string> = { ndjson: "audit.ndjson", ocsf: "audit.ocsf.ndjson" };

function Export() {
  const { t } = useI18n();
  const save = useMutation({
    mutationFn: async (format: Format) => {
      const response = await send(`/v1/audit/export?format=${format}`);
      download(await response.blob(), FILE_NAMES[format]);
    },
  });
  return (
    <div className="flex flex-wrap items-center gap-3">
      <Button disabled={save.isPending} onClick={() => save.mutate("ndjson")}>
        <Download aria-hidden /> {t("exportLog")}
      </Button>
      <Button disabled={save.isPending} onClick={() => save.mutate("ocsf")}>
        <Download aria-hidden /> {t("exportOcsf")}
      </Button>
      <span className="text-sm text-quiet">{t("exportLogHint")}</span>
      {save.isError && <Notice>{save.error.message}</Notice>}
    </div>
  );
}

export function AuditPage() {
  const { t } = useI18n();
  const [parameters, setParameters] = useSearchParams();
  const filter = filterOf(parameters);
  const list = usePages<AuditEvent>({
    key: ["audit", filter],
    staleTime: 0,
    load: (cursor) => body(api.GET("/v1/audit", { params: { query: { ...queryOf(filter), cursor, limit: PAGE_SIZE } } })),
  });
  const apply = (next: Filter) => {
    const entries = Object.entries(next).filter(([, value]) => value);
    setParameters(new URLSearchParams(entries));
  };
  return (
    <section aria-label={t("audit")} className="flex flex-col gap-4">
      <ChainCheck />
      <Export />
      <FilterForm key={parameters.toString()} filter={filter} onFilter={apply} />
      <PagedList list={list} empty={t("nothingFound")}>
        {(events) => (
          <LongList
            name={t("audit")}
            items={events}
            keyOf={({ id }) => id}
            estimate={ROW_HEIGHT}
            hasMore={list.query.hasNextPage}
          >
            {(event, item) => <EventRow key={event.id} event={event} item={item} onFollow={apply} />}
          </LongList>
        )}
      </PagedList>
    </section>
  );
}
