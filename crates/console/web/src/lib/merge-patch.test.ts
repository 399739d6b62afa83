import { describe, expect, it } from "vitest";
import { mergePatch } from "./merge-patch";

describe("mergePatch", () => {
  it("has what changed, and null for what is gone", () => {
    const before = { language: "german", quotas: { documents: 5, bytes: 9 }, role_mappings: { "g:ops": "user", old: "viewer" } };
    const after = { quotas: { documents: 6, bytes: 9 }, role_mappings: { "g:ops": "user" }, instructions: "Short." };
    expect(mergePatch(before, after)).toEqual({
      language: null,
      quotas: { documents: 6 },
      role_mappings: { old: null },
      instructions: "Short.",
    });
  });

  it("replaces lists whole", () => {
    expect(mergePatch({ patterns: ["email", "phone"] }, { patterns: ["email"] })).toEqual({ patterns: ["email"] });
  });

  it("is empty if nothing changed", () => {
    expect(mergePatch({ a: { b: [1] } }, { a: { b: [1] } })).toEqual({});
  });
});
