// Lists that the API returns in pages.

import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Button } from "@/components/ui/button";
import { Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

interface Listing<T> {
  data: T[];
  next_cursor?: string | null;
}

interface PagesOptions<T> {
  key: QueryKey;
  load: (cursor: string | undefined) => Promise<Listing<T>>;
  enabled?: boolean;
  staleTime?: number;
  /** Milliseconds until the list is loaded again, from what it has; false for never. */
  refetch?: (items: T[]) => number | false;
}

/** All items of a list that were loaded so far. */
export function usePages<T>({ key, load, enabled, staleTime, refetch }: PagesOptions<T>) {
  const query = useInfiniteQuery({
    queryKey: key,
    enabled,
    staleTime,
    queryFn: ({ pageParam }) => load(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Listing<T>) => page.next_cursor ?? undefined,
    refetchInterval: ({ state }) => refetch?.(state.data?.pages.flatMap(({ data }) => data) ?? []) ?? false,
  });
  return { query, items: query.data?.pages.flatMap(({ data }) => data) ?? [] };
}

interface PagedListProps<T> {
  list: ReturnType<typeof usePages<T>>;
  /** What is said if there is nothing. */
  empty: string;
  children: (items: T[]) => ReactNode;
}

/** The items of a list with the states that each list has: loading, failed, empty, and whether there are more. */
export function PagedList<T>({ list: { query, items }, empty, children }: PagedListProps<T>) {
  const { t } = useI18n();
  return (
    <>
      {query.isPending && <Spinner label={t("loading")} />}
      {query.isError && <LoadError error={query.error} retry={() => void query.refetch()} />}
      {query.isSuccess && items.length === 0 && <Empty>{empty}</Empty>}
      {items.length > 0 && children(items)}
      {query.hasNextPage && (
        <Button className="self-start" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          {t("more")}
        </Button>
      )}
    </>
  );
}
