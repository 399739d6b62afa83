import { describe, expect, it } from "vitest";
import type { Account, WorkOrder } from "@/api/types";
import { mayClose, withWords } from "./work-orders";

const seal: WorkOrder = {
  id: "1",
  external_reference: "a1",
  target: "P-101A",
  title: "Replace the seal",
  description: "It leaks.",
  priority: 2,
  due: "2030-01-31",
  status: "open",
  requested_by: "ana",
  created_at: "2029-12-01T00:00:00Z",
};
const paint: WorkOrder = { ...seal, id: "2", target: "T-200", title: "Paint", due: null };

describe("withWords", () => {
  it("has those with all of the words", () => {
    expect(withWords([seal, paint], " ")).toHaveLength(2);
    expect(withWords([seal, paint], "p-101a SEAL")).toEqual([seal]);
    expect(withWords([seal, paint], "t-200 seal")).toEqual([]);
  });
});

describe("mayClose", () => {
  const user = { id: "kim", role: "user", grants: [] as string[] } as Account;

  it("is for who asked for it, admins and approvers", () => {
    expect(mayClose(seal, user)).toBe(false);
    expect(mayClose(seal, { ...user, id: "ana" })).toBe(true);
    expect(mayClose(seal, { ...user, id: "ana", role: "viewer" })).toBe(false);
    expect(mayClose(seal, { ...user, role: "admin" })).toBe(true);
    expect(mayClose(seal, { ...user, grants: ["approver"] })).toBe(true);
    expect(mayClose({ ...seal, status: "closed" }, { ...user, role: "admin" })).toBe(false);
  });
});
