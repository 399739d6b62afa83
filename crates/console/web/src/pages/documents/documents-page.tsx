import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { RotateCw } from "lucide-react";
import { useEffect, useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import { useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { Document } from "@/api/types";
import { type ItemProps, LongList } from "@/components/long-list";
import { Page } from "@/components/page";
import { Button } from "@/components/ui/button";
import { Badge, Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { SPACE } from "@/space/space";
import { SpaceSwitch } from "@/space/space-switch";
import { useSpace } from "@/space/use-space";
import { POLL_MS, isBeingIngested } from "@/viewer/document-view";
import { ORDERS, type Order, orderOf, useSorted } from "./sorting";
import { DocumentStatus } from "./status";
import { Uploader } from "./uploader";

const PAGE_SIZE = 100;
const STATUSES = ["pending", "processing", "ready", "failed"] as const;

/** Height of a row, in pixels, if its badges have room beside the name. */
const ROW_HEIGHT = 88;

interface Filter {
  status: string;
  tag: string;
  sort: Order;
}

function useDocuments({ status, tag, sort }: Filter, team: string | undefined) {
  const list = useInfiniteQuery({
    queryKey: ["documents", status, tag, team],
    staleTime: POLL_MS,
    queryFn: ({ pageParam }) => {
      const wanted = { status: (status || undefined) as Document["status"] | undefined, tag: tag || undefined };
      const query = { team_id: team, ...wanted, cursor: pageParam, limit: PAGE_SIZE };
      return body(api.GET("/v1/documents", { params: { query } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: ({ state }) =>
      state.data?.pages.some((page) => page.data.some(isBeingIngested)) ? POLL_MS : false,
  });
  const { hasNextPage, isFetching, isError, fetchNextPage } = list;
  useEffect(() => {
    // Any other order than the server's needs all documents.
    if (sort !== "newest" && hasNextPage && !isFetching && !isError) void fetchNextPage();
  }, [sort, hasNextPage, isFetching, isError, fetchNextPage]);
  return list;
}

export function ReprocessButton({ document }: { document: Document }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const reprocess = useMutation({
    mutationFn: () => api.POST("/v1/documents/{id}/reprocess", { params: { path: { id: document.id } } }),
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["documents"] });
      void queries.invalidateQueries({ queryKey: ["document", document.id] });
    },
  });
  return (
    <span className="inline-flex flex-wrap items-center gap-2">
      <Button disabled={reprocess.isPending || isBeingIngested(document)} onClick={() => reprocess.mutate()}>
        <RotateCw aria-hidden /> {t("reprocess")}
      </Button>
      {reprocess.isError && <span role="alert">{reprocess.error.message}</span>}
    </span>
  );
}

interface RowProps {
  document: Document;
  mayChange: boolean;
  item: ItemProps;
}

function Row({ document, mayChange, item }: RowProps) {
  const { t, moment } = useI18n();
  const { id, title, filename, page_count, classification, tags, updated_at, superseded_by } = document;
  const facts = [
    title && title !== filename ? filename : "",
    page_count ? t("pageCount", { count: page_count }) : "",
    moment(updated_at),
  ];
  return (
    <li {...item} className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <Link
          to={`/documents/${id}`}
          className="inline-flex min-h-target items-center font-semibold underline-offset-4 [overflow-wrap:anywhere] hover:underline"
        >
          {title || filename}
        </Link>
        <p className="text-sm text-quiet">{facts.filter(Boolean).join(" · ")}</p>
      </div>
      <div className="flex flex-wrap items-center gap-2">
        {tags.map((tag) => (
          <Badge key={tag}>{tag}</Badge>
        ))}
        <Badge>{t(`class.${classification as "public"}` as MessageKey)}</Badge>
        {superseded_by && <Badge>{t("superseded")}</Badge>}
        <DocumentStatus document={document} />
        {document.status === "failed" && mayChange && <ReprocessButton document={document} />}
      </div>
    </li>
  );
}

export function DocumentsPage() {
  const { t } = useI18n();
  const { role } = useAccount();
  const space = useSpace();
  const mayChange = role !== "viewer" && space.mayContribute;
  const [parameters, setParameters] = useSearchParams();
  const sort = orderOf(parameters.get("sort"));
  const filter = { status: parameters.get("status") ?? "", tag: parameters.get("tag") ?? "", sort };
  const list = useDocuments(filter, space.team);
  const loaded = useMemo(() => list.data?.pages.flatMap((page) => page.data) ?? [], [list.data]);
  const documents = useSorted(loaded, sort);
  const change = (name: keyof Filter | typeof SPACE, value: string) => {
    const next = new URLSearchParams(parameters);
    if (value) next.set(name, value);
    else next.delete(name);
    setParameters(next, { replace: true });
  };
  return (
    <Page title={t("documents")}>
      <SpaceSwitch team={space.team} onChange={(team) => change(SPACE, team ?? "")} />
      {mayChange && <Uploader key={space.team} team={space.team} />}
      <div className="flex flex-wrap gap-3">
        <Field label={t("state")} className="max-w-60 flex-1 basis-32">
          {(ids) => (
            <Select {...ids} value={filter.status} onChange={(event) => change("status", event.target.value)}>
              <option value="">{t("all")}</option>
              {STATUSES.map((status) => (
                <option key={status} value={status}>
                  {t(`status.${status}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label={t("tag")} className="max-w-60 flex-1 basis-32">
          {(ids) => <Input {...ids} value={filter.tag} maxLength={64} onChange={(event) => change("tag", event.target.value)} />}
        </Field>
        <Field label={t("order")} className="max-w-60 flex-1 basis-32">
          {(ids) => (
            <Select {...ids} value={sort} onChange={(event) => change("sort", event.target.value)}>
              {ORDERS.map((order) => (
                <option key={order} value={order}>
                  {t(`order.${order}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
      {list.isPending && <Spinner label={t("loading")} />}
      {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && documents.length === 0 && <Empty>{t("noDocuments")}</Empty>}
      <LongList
        name={t("documents")}
        items={documents}
        keyOf={({ id }) => id}
        estimate={ROW_HEIGHT}
        hasMore={list.hasNextPage}
      >
        {(document, item) => <Row key={document.id} document={document} mayChange={mayChange} item={item} />}
      </LongList>
      {list.hasNextPage && (
        <Button disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {t("more")}
        </Button>
      )}
    </Page>
  );
}
