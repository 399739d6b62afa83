import { renderHook } from "@testing-library/react";
import { expect, it } from "vitest";
import type { Document } from "@/api/types";
import { ORDERS, type Order, orderOf, useSorted } from "./sorting";

function document(id: string, fields: Partial<Document>) {
  return { id, title: "", filename: id, updated_at: "2030-01-01T00:00:00Z", status: "ready", classification: "internal", ...fields } as Document;
}

const documents = [
  document("newest", { title: "Pump 10", classification: "public", updated_at: "2030-01-02T00:00:00Z" }),
  document("failed", { title: "pump 9", status: "failed", classification: "restricted" }),
  document("oldest", { filename: "Manual.pdf", updated_at: "2030-01-03T00:00:00Z" }),
];

function sorted(order: Order) {
  return renderHook(() => useSorted(documents, order)).result.current.map(({ id }) => id);
}

it.each([
  ["newest", ["newest", "failed", "oldest"]],
  ["name", ["oldest", "failed", "newest"]],
  ["changed", ["oldest", "newest", "failed"]],
  ["state", ["failed", "oldest", "newest"]],
  ["classification", ["failed", "oldest", "newest"]],
] as [Order, string[]][])("sorts by %s", (order, ids) => {
  expect(sorted(order)).toEqual(ids);
});

it("an order that there is not is the newest first", () => {
  expect(orderOf("size")).toBe("newest");
  expect(orderOf(null)).toBe("newest");
  expect(ORDERS.map(orderOf)).toEqual([...ORDERS]);
});
