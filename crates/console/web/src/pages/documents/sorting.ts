// The order of the documents in the list.

import {
  type SortingState,
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_basic,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import type { Document } from "@/api/types";
import { CLASSES } from "./uploader";

export const ORDERS = ["newest", "name", "changed", "state", "classification"] as const;
export type Order = (typeof ORDERS)[number];

/** What needs attention comes first. */
const STATES: readonly Document["status"][] = ["failed", "processing", "pending", "ready"];

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, basic: sortFn_basic },
});

const helper = createColumnHelper<typeof features, Document>();
const columns = helper.columns([
  helper.accessor(({ title, filename }) => title || filename, { id: "name", sortFn: "alphanumeric" }),
  helper.accessor(({ updated_at }) => Date.parse(updated_at), { id: "changed", sortFn: "basic" }),
  helper.accessor(({ status }) => STATES.indexOf(status), { id: "state", sortFn: "basic" }),
  helper.accessor(({ classification }) => CLASSES.indexOf(classification), { id: "classification", sortFn: "basic" }),
]);

/** The API lists the newest first, which is no sorting here. */
export function sortingOf(order: Order): SortingState {
  if (order === "newest") return [];
  const column = { id: order, desc: order === "changed" || order === "classification" };
  return order === "name" ? [column] : [column, { id: "name", desc: false }];
}

export function orderOf(text: string | null): Order {
  return ORDERS.find((order) => order === text) ?? "newest";
}

/** The documents in an order. */
export function useSorted(documents: Document[], order: Order): Document[] {
  const table = useTable({ features, columns, data: documents, state: { sorting: sortingOf(order) } });
  return table.getRowModel().rows.map(({ original }) => original);
}
