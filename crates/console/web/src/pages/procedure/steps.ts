// The parts of a procedure: what is a step, a warning, a heading, and what is only text.

import { visibleText } from "@/lib/invisible";
import type { Line } from "@/viewer/docx";

export interface Part {
  kind: "step" | "warning" | "text";
  /** The number of a step as the document has it: `3`, `3.2`, `a`. */
  number?: string;
  text: string;
}

export interface Section {
  /** Empty for what stands before the first heading. */
  heading: string;
  parts: Part[];
}

/** `1.`, `2)`, `3.1.`, `a)`, `Step 4:`, `Schritt 4` at the beginning of a line. */
const STEP = /^(?:(?:step|schritt)\s+(\d+(?:\.\d+)*)\s*[.):–-]?|(\d+(?:\.\d+)*)[.)]|([a-z])\))\s+(\S.*)$/is;
const WARNING = /^(?:[>*_\s]*)(danger|warning|caution|note|gefahr|warnung|vorsicht|achtung|hinweis)\b[*_]*\s*[:!–-]/i;
/** Markdown around words. It is left out, since nothing is rendered. */
const EMPHASIS = /\*\*|__/g;

function partOf(text: string): Part {
  if (WARNING.test(text)) return { kind: "warning", text: text.replace(/^[>\s]+/, "").replace(EMPHASIS, "") };
  const match = STEP.exec(text);
  if (!match) return { kind: "text", text: text.replace(/^>\s*/, "").replace(EMPHASIS, "") };
  const number = match[1] ?? match[2] ?? match[3] ?? "";
  return { kind: "step", number, text: (match[4] ?? "").replace(EMPHASIS, "") };
}

/** Sections with their parts. Where lines are wrapped, as on the pages of a PDF file, a step goes on until a gap. */
export function sectionsOf(lines: readonly Line[], wrapped = false): Section[] {
  const sections: Section[] = [{ heading: "", parts: [] }];
  let open: Part | undefined;
  let listed = 0;
  for (const { text: raw, heading, listed: isListed } of lines) {
    const text = visibleText(raw).trim();
    if (text === "") {
      open = undefined;
      continue;
    }
    if (heading) {
      sections.push({ heading: text.replace(/^#+\s*/, "").replace(EMPHASIS, ""), parts: [] });
      [open, listed] = [undefined, 0];
      continue;
    }
    // A word processor counts the steps of a list itself, and has no number in the text.
    const part: Part = isListed ? { kind: "step", number: String((listed += 1)), text } : partOf(text);
    if (wrapped && open && part.kind === "text") {
      // Lines of text may be the rows of a table: they stay lines.
      open.text += `${open.kind === "text" ? "\n" : " "}${part.text}`;
      continue;
    }
    sections.at(-1)?.parts.push(part);
    open = part;
  }
  return sections.filter(({ heading, parts }) => heading !== "" || parts.length > 0);
}

/** The sections that are printed: one of them or all, and of these the steps and warnings alone if that is wanted. */
export function chosen(sections: readonly Section[], index: number | undefined, stepsOnly: boolean): Section[] {
  const wanted = index === undefined ? sections : sections.filter((_, at) => at === index);
  if (!stepsOnly) return [...wanted];
  const reduced = wanted.map(({ heading, parts }) => ({ heading, parts: parts.filter(({ kind }) => kind !== "text") }));
  return reduced.filter(({ parts }) => parts.some(({ kind }) => kind === "step"));
}

export function hasSteps({ parts }: Section): boolean {
  return parts.some(({ kind }) => kind === "step");
}
