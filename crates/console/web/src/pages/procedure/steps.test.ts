import { describe, expect, it } from "vitest";
import { type Piece, pdfLines } from "./pdf-lines";
import { chosen, hasSteps, sectionsOf } from "./steps";

function lines(text: string) {
  return text.split("\n").map((line) => ({ text: line, heading: line.startsWith("#") }));
}

const PROCEDURE = `# LOTO-002
Purpose of this sheet.
## 5 Locking out
1. **Announce** the stop.
2) Stop the machine.
2.1. Wait five minutes.
Step 3: Prove zero voltage.
a) Note the lock numbers.
> WARNING: A check valve is never an isolation point.
Water below 60 °C.
480 N·m is the torque.`;

describe("sectionsOf", () => {
  const [title, locking] = sectionsOf(lines(PROCEDURE));

  it("finds headings, numbered steps and warnings", () => {
    expect(title).toEqual({ heading: "LOTO-002", parts: [{ kind: "text", text: "Purpose of this sheet." }] });
    expect(locking?.heading).toBe("5 Locking out");
    expect(locking?.parts.map(({ kind, number }) => [kind, number])).toEqual([
      ["step", "1"],
      ["step", "2"],
      ["step", "2.1"],
      ["step", "3"],
      ["step", "a"],
      ["warning", undefined],
      ["text", undefined],
      ["text", undefined],
    ]);
    expect(locking?.parts[0]?.text).toBe("Announce the stop.");
  });

  it("counts the steps of a word processor's lists per section", () => {
    const step = (text: string) => ({ text, heading: false, listed: true });
    const sections = sectionsOf([{ text: "One", heading: true }, step("a"), step("b"), { text: "Two", heading: true }, step("c")]);
    expect(sections.map(({ parts }) => parts.map(({ number }) => number))).toEqual([["1", "2"], ["1"]]);
  });

  it("drops characters that are not seen or turn text around", () => {
    expect(sectionsOf(lines("1. Open\u202e HV\u200b-1"))[0]?.parts).toEqual([{ kind: "step", number: "1", text: "Open HV-1" }]);
  });

  it("joins the lines of a wrapped step until a gap", () => {
    const wrapped = sectionsOf(lines("1. Close the valve\nslowly.\n2. Open the vent.\n\nPoint Action\n1 Close"), true);
    expect(wrapped[0]?.parts.map(({ text }) => text)).toEqual(["Close the valve slowly.", "Open the vent.", "Point Action\n1 Close"]);
  });
});

describe("chosen", () => {
  const sections = sectionsOf(lines(PROCEDURE));

  it("is one section or all, with or without the text around the steps", () => {
    expect(chosen(sections, undefined, false)).toEqual(sections);
    expect(chosen(sections, 1, false)).toEqual([sections[1]]);
    const [only, ...none] = chosen(sections, undefined, true);
    expect(none).toEqual([]);
    expect(only?.parts).toHaveLength(6);
    expect(sections.map(hasSteps)).toEqual([false, true]);
  });
});

describe("pdfLines", () => {
  const page = (number: number, ...texts: [string, number, number][]): Piece[] => [
    { text: `SOP-014 · page ${number} of 3`, y: 800, height: 8, endsLine: true },
    ...texts.map(([text, y, height]) => ({ text, y, height, endsLine: true })),
  ];

  it("drops what every page repeats, and knows headings by their size and paragraphs by gaps", () => {
    const result = pdfLines([
      page(1, ["5 Inspection", 760, 14], ["1. Look at the", 740, 10], ["packing.", 727, 10], ["2. Spray.", 714, 10]),
      page(2, ["The loop stays in automatic.", 760, 10], ["New paragraph.", 720, 10]),
      page(3, ["End.", 760, 10]),
    ]);
    expect(result).toEqual([
      { text: "5 Inspection", heading: true },
      { text: "1. Look at the", heading: false },
      { text: "packing.", heading: false },
      { text: "2. Spray.", heading: false },
      { text: "The loop stays in automatic.", heading: false },
      { text: "", heading: false },
      { text: "New paragraph.", heading: false },
      { text: "End.", heading: false },
    ]);
  });

  it("joins the pieces of one line", () => {
    const pieces = [
      { text: "Close ", y: 10, height: 10, endsLine: false },
      { text: "HV-1004A", y: 10, height: 10, endsLine: true },
    ];
    expect(pdfLines([pieces])).toEqual([{ text: "Close HV-1004A", heading: false }]);
  });
});
