import { describe, expect, it } from "vitest";
import { differences } from "./differences";
import { exactJson } from "./invisible";

describe("differences", () => {
  it("names each member with what was and what will be", () => {
    const before = { title: "Old", priority: 2, due: "2030-01-31", tags: ["a"] };
    const after = { title: "New", priority: 2, tags: ["a", "b"], extra: { note: "x" } };
    expect(differences(before, after)).toEqual([
      { path: "title", before: "Old", after: "New", kind: "changed" },
      { path: "priority", before: 2, after: 2, kind: "same" },
      { path: "tags.0", before: "a", after: "a", kind: "same" },
      { path: "tags.1", before: undefined, after: "b", kind: "added" },
      { path: "extra.note", before: undefined, after: "x", kind: "added" },
      { path: "due", before: "2030-01-31", after: undefined, kind: "removed" },
    ]);
  });

  it("is all new where there was nothing", () => {
    expect(differences(null, { title: "New", due: null })).toEqual([
      { path: "title", before: undefined, after: "New", kind: "added" },
      { path: "due", before: undefined, after: null, kind: "added" },
    ]);
    expect(differences(undefined, undefined)).toEqual([]);
  });

  it("tells a number from the text of it, and an empty list from none", () => {
    expect(differences({ a: 1 }, { a: "1" })[0]?.kind).toBe("changed");
    expect(differences({ a: [] }, {})).toEqual([{ path: "a", before: [], after: undefined, kind: "removed" }]);
  });
});

describe("exactJson", () => {
  it("shows characters that would not be seen, or would turn text around", () => {
    expect(exactJson({ target: "P-101\u202eA\u200b" })).toBe('{\n  "target": "P-101\\u202eA\\u200b"\n}');
    expect(exactJson("<b>&amp;</b>")).toBe('"<b>&amp;</b>"');
    expect(exactJson(undefined)).toBe("null");
  });
});
