import { describe, expect, it } from "vitest";
import { findPassage, segments } from "./passage";

function marked(text: string, passage: string) {
  return findPassage(text, passage).map(({ start, end }) => text.slice(start, end));
}

describe("findPassage", () => {
  it("does not care for line breaks, hyphens and spaces", () => {
    const page = "5.2 Tighten the cover bolts cross-\nwise  to 45 Nm,\nthen to 90 Nm.";
    expect(marked(page, "Tighten the cover bolts crosswise to 45 Nm, then to 90 Nm.")).toEqual([
      "Tighten the cover bolts cross-\nwise  to 45 Nm,\nthen to 90 Nm",
    ]);
  });

  it("finds the parts of a passage that something else interrupts", () => {
    const page = "Close the suction valve XV-101 first. FOOTER 12 Then drain the casing through the plug.";
    const passage = "Close the suction valve XV-101 first. Then drain the casing through the plug.";
    expect(marked(page, passage)).toEqual([
      "Close the suction valve XV-101 first",
      "Then drain the casing through the plug",
    ]);
  });

  it("finds the beginning of a passage that goes on on the next page", () => {
    const page = "… The relief valve must be tested every twelve months by";
    expect(marked(page, "The relief valve must be tested every twelve months by an approved body")).toEqual([
      "The relief valve must be tested every twelve months by",
    ]);
  });

  it("marks nothing where there is nothing of it", () => {
    expect(findPassage("Lubricate weekly.", "The relief valve must be tested every year")).toEqual([]);
    expect(findPassage("Lubricate weekly.", " – ")).toEqual([]);
  });
});

describe("segments", () => {
  it("cuts at the borders of the ranges", () => {
    expect(segments("abcdef", 10, [{ start: 8, end: 12 }, { start: 14, end: 99 }])).toEqual([
      { text: "ab", marked: true },
      { text: "cd", marked: false },
      { text: "ef", marked: true },
    ]);
  });
});
