import { describe, expect, it } from "vitest";
import { ApiError } from "@/api/client";
import type { Approval } from "@/api/types";
import { badgeText, isOutOfDate, refreshAfter, refusal, waitingCount, waitsFor } from "./approval";

const approval = {
  id: "1",
  status: "pending",
  requested_by: "ana",
  required: 2,
  decisions: [] as Approval["decisions"],
} as Approval;
const approved = { by: "ines", decision: "approve", at: "2030-01-01T00:00:00Z" } as const;

describe("waitsFor", () => {
  it("is for approvers who have not decided, while it is pending", () => {
    expect(waitsFor(approval, "ines")).toBe(true);
    expect(waitsFor(approval, "ana")).toBe(false);
    expect(waitsFor({ ...approval, status: "approved" }, "ines")).toBe(false);
    expect(waitsFor({ ...approval, decisions: [approved] }, "ines")).toBe(false);
    expect(waitsFor({ ...approval, decisions: [approved] }, "boss")).toBe(true);
  });
});

describe("the number on the link", () => {
  it("counts what waits for this user alone", () => {
    const list = [approval, { ...approval, decisions: [approved] }, { ...approval, status: "expired" as const }];
    expect(waitingCount(list, "ines")).toBe(1);
    expect(waitingCount(list, "boss")).toBe(2);
    expect(waitingCount([], "boss")).toBe(0);
  });

  it("is not there for none, and says if there are more", () => {
    expect([badgeText(0, false), badgeText(0, true), badgeText(3, false), badgeText(50, true)]).toEqual(["", "", "3", "50+"]);
  });
});

describe("a refused decision", () => {
  it("is told in words, and read again if it is out of date", () => {
    const decided = new ApiError(409, "already_decided", "Too late.");
    expect(refusal(decided)).toBe("approval.error.decided");
    expect(isOutOfDate(decided)).toBe(true);
    const own = new ApiError(403, "self_approval", "You asked for it.");
    expect(refusal(own)).toBe("approval.error.self");
    expect(isOutOfDate(own)).toBe(false);
    expect(refusal(new ApiError(500, "internal", "?"))).toBeUndefined();
    expect(refusal(new TypeError())).toBeUndefined();
  });
});

it("is read again while it can change", () => {
  expect(refreshAfter("pending")).toBeGreaterThan(0);
  expect(refreshAfter("executing")).toBeLessThan(refreshAfter("pending") as number);
  expect((["executed", "failed", "rejected", "expired", "cancelled"] as const).map(refreshAfter)).toEqual([
    false, false, false, false, false,
  ]);
});
