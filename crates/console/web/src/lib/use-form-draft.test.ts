import { describe, expect, it } from "vitest";
import { formatDraft, parseDraft } from "./use-form-draft";

describe("the draft of a form", () => {
  const initial = { name: "", scopes: ["search:read"] };

  it("is what was typed, after it was stored and read", () => {
    const typed = { name: "historian", scopes: [] };
    expect(parseDraft(formatDraft(typed, initial), initial)).toEqual(typed);
  });

  it("is not stored while nothing is changed", () => {
    expect(formatDraft({ ...initial }, initial)).toBe("");
    expect(parseDraft("", initial)).toBe(initial);
  });

  it("is the initial one if the storage has something else", () => {
    expect(parseDraft("{", initial)).toBe(initial);
  });
});
