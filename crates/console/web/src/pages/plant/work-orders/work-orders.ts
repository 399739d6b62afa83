// Which work orders are shown, and who may close them.

import type { Account, WorkOrder } from "@/api/types";

export type WorkOrderStatus = WorkOrder["status"];
export const STATUSES: readonly WorkOrderStatus[] = ["open", "closed"];

export interface Filter {
  status: WorkOrderStatus | "";
  words: string;
}

/** Those that have all of the words in their target, title, description or reference. The server knows states alone. */
export function withWords(orders: readonly WorkOrder[], words: string): WorkOrder[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return orders.filter((order) => {
    const text = [order.target, order.title, order.description, order.external_reference, order.id].join(" ").toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

/** Users close what they asked for; admins and approvers close everything. */
export function mayClose({ status, requested_by }: WorkOrder, { id, role, grants }: Account): boolean {
  if (status !== "open") return false;
  return role === "admin" || grants.includes("approver") || (role === "user" && requested_by === id);
}
