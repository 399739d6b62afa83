import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy, useEffect, useState } from "react";
import { api, body } from "@/api/client";
import type { Document } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import type { DocumentLocation } from "./location";
import { TextView } from "./text-view";

/** How often a document that is being ingested is looked at. Each look counts towards its user's limit. */
export const POLL_MS = 5_000;

const PdfView = lazy(() => import("./pdf-view"));

export function useDocument(id: string) {
  return useQuery({
    queryKey: ["document", id],
    queryFn: () => body(api.GET("/v1/documents/{id}", { params: { path: { id } } })),
    refetchInterval: ({ state }) => (isBeingIngested(state.data) ? POLL_MS : false),
  });
}

export function isBeingIngested(document: Document | undefined): boolean {
  return document?.status === "pending" || document?.status === "processing";
}

/** The content of a document, opened at a place in it. */
export function DocumentView({ location }: { location: DocumentLocation }) {
  const { t } = useI18n();
  const document = useDocument(location.id);
  const [page, setPage] = useState(location.page ?? 1);
  useEffect(() => setPage(location.page ?? 1), [location]);
  if (document.isPending) return <Spinner label={t("loading")} />;
  if (document.isError) return <LoadError error={document.error} retry={() => void document.refetch()} />;
  const { data } = document;
  if (data.mime_type !== "application/pdf") {
    return <TextView document={data} passage={location.passage} />;
  }
  const passage = page === (location.page ?? 1) ? location.passage : "";
  return (
    <Suspense fallback={<Spinner label={t("loading")} />}>
      {data.status === "failed" && data.error && <Notice>{data.error.detail}</Notice>}
      <PdfView key={data.id} id={data.id} page={page} onPage={setPage} passage={passage} />
    </Suspense>
  );
}
