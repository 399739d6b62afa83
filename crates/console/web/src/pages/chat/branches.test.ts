import { describe, expect, it } from "vitest";
import type { Message } from "@/api/types";
import { branch, newestLeaf } from "./branches";

function message(id: string, parent_id: string | null, seq: number, role: Message["role"]) {
  return { id, parent_id, seq, role } as Message;
}

// The question q1 was answered twice, and then asked in other words.
const messages = [
  message("q1", null, 1, "user"),
  message("a1", "q1", 2, "assistant"),
  message("a2", "q1", 3, "assistant"),
  message("q3", "a2", 4, "user"),
  message("q2", null, 5, "user"),
  message("a3", "q2", 6, "assistant"),
];

describe("branch", () => {
  it("leads from the beginning to the active message", () => {
    const path = branch(messages, "q3");
    expect(path.map(({ message: { id } }) => id)).toEqual(["q1", "a2", "q3"]);
    expect(path.map(({ versions }) => versions.length)).toEqual([2, 2, 1]);
  });

  it("is the newest one if none is active, and empty without messages", () => {
    expect(branch(messages, null).map(({ message: { id } }) => id)).toEqual(["q2", "a3"]);
    expect(branch([], undefined)).toEqual([]);
  });
});

describe("newestLeaf", () => {
  it("follows the newest answer to its end", () => {
    expect(newestLeaf(messages, "q1")).toBe("q3");
    expect(newestLeaf(messages, "a1")).toBe("a1");
  });
});
