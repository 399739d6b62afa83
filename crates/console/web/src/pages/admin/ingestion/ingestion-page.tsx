// The documents that are not searchable yet, by their state, and those that failed: what the queue has given up.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { RotateCw } from "lucide-react";
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { api, body } from "@/api/client";
import type { Document } from "@/api/types";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Badge, Notice } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import { progressOf } from "./progress";

/** How often a list is loaded again while its documents move. Each time counts towards the administrator's limit. */
const POLL_MS = 10_000;
/** How often otherwise. */
const IDLE_POLL_MS = 30_000;
const PAGE_SIZE = 50;

type State = "failed" | "processing" | "pending";

const KEY = ["ingestion"];

function useQueue(state: State) {
  return usePages<Document>({
    key: [...KEY, state],
    staleTime: POLL_MS,
    load: (cursor) => body(api.GET("/v1/documents", { params: { query: { status: state, cursor, limit: PAGE_SIZE } } })),
    refetch: (documents) => (state === "failed" || documents.length === 0 ? IDLE_POLL_MS : POLL_MS),
  });
}

function reprocess(id: string) {
  return api.POST("/v1/documents/{id}/reprocess", { params: { path: { id } } });
}

function ProgressBar({ document }: { document: Document }) {
  const { t } = useI18n();
  const progress = progressOf(document);
  const label = t("progressOf", { name: document.filename });
  if (!progress) return <progress className="h-3 w-40 accent-primary" aria-label={label} />;
  const { step, done, count, part } = progress;
  return (
    <span className="inline-flex flex-wrap items-center gap-2">
      <progress className="h-3 w-40 accent-primary" value={part} aria-label={label} />
      <span className="text-sm text-quiet tabular-nums">
        {t(step === "read" ? "pagesRead" : "passagesEmbedded", { done, count })}
      </span>
    </span>
  );
}

function RetryButton({ document }: { document: Document }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const retry = useMutation({
    mutationFn: () => reprocess(document.id),
    onSettled: () => void queries.invalidateQueries({ queryKey: KEY }),
  });
  return (
    <>
      <Button aria-label={t("retryOf", { name: document.filename })} disabled={retry.isPending} onClick={() => retry.mutate()}>
        <RotateCw aria-hidden /> {t("retry")}
      </Button>
      {retry.isError && <span role="alert">{retry.error.message}</span>}
    </>
  );
}

function Row({ document, state }: { document: Document; state: State }) {
  const { t, moment } = useI18n();
  const { id, title, filename, created_at, error } = document;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <Link to={`/documents/${id}`} className="inline-flex min-h-target items-center font-semibold underline [overflow-wrap:anywhere]">
          {title || filename}
        </Link>
        <p className="text-sm text-quiet">{t("uploadedAt", { at: moment(created_at) })}</p>
        {error && <p className="[overflow-wrap:anywhere]">{error.detail}</p>}
      </div>
      {error && <Badge tone="alarm">{t(`failure.${error.code}` as MessageKey)}</Badge>}
      {state === "processing" && <ProgressBar document={document} />}
      {state === "failed" && <RetryButton document={document} />}
    </li>
  );
}

/** Puts every failed document that is listed back into the queue, one after the other. */
function RetryAll({ documents }: { documents: readonly Document[] }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [done, setDone] = useState(0);
  const retry = useMutation({
    mutationFn: async () => {
      setDone(0);
      for (const { id } of documents) {
        await reprocess(id);
        setDone((count) => count + 1);
      }
    },
    onSettled: () => void queries.invalidateQueries({ queryKey: KEY }),
  });
  return (
    <div className="flex flex-wrap items-center gap-3">
      {documents.length > 1 && (
        <Button disabled={retry.isPending} onClick={() => retry.mutate()}>
          <RotateCw aria-hidden /> {t("retryAll")}
        </Button>
      )}
      <span role="status" className="text-sm text-quiet">
        {(retry.isPending || done > 0) && t("retryProgress", { done, count: Math.max(documents.length, done) })}
      </span>
      {retry.isError && <Notice>{retry.error.message}</Notice>}
    </div>
  );
}

const TITLES = { failed: "queueFailed", processing: "queueProcessing", pending: "queuePending" } as const;
const EMPTIES = { failed: "noneFailed", processing: "noneProcessing", pending: "nonePending" } as const;

function Queue({ state }: { state: State }) {
  const { t } = useI18n();
  const list = useQueue(state);
  const count = list.items.length;
  const queries = useQueryClient();
  useEffect(() => {
    // Who has left these lists is searchable, or has failed.
    if (state !== "failed") void queries.invalidateQueries({ queryKey: [...KEY, "failed"] });
  }, [state, count, queries]);
  const counted = list.query.hasNextPage ? t("queueCountMore", { count }) : t("queueCount", { count });
  const isAbnormal = state === "failed" && count > 0;
  return (
    <section aria-labelledby={`queue-${state}`} className="flex flex-col gap-2">
      <h2 id={`queue-${state}`} className="flex flex-wrap items-center gap-3">
        {t(TITLES[state])} {list.query.isSuccess && <Badge tone={isAbnormal ? "alarm" : "plain"}>{counted}</Badge>}
      </h2>
      {state === "failed" && <RetryAll documents={list.items} />}
      <PagedList list={list} empty={t(EMPTIES[state])}>
        {(documents) => (
          <ul className="flex flex-col gap-2">
            {documents.map((document) => (
              <Row key={document.id} document={document} state={state} />
            ))}
          </ul>
        )}
      </PagedList>
    </section>
  );
}

export function IngestionPage() {
  const { t } = useI18n();
  return (
    <section aria-label={t("ingestion")} className="flex flex-col gap-5">
      <p className="text-quiet">{t("ingestionHint")}</p>
      <Queue state="failed" />
      <Queue state="processing" />
      <Queue state="pending" />
    </section>
  );
}
