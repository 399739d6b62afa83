// The lines of a PDF file, from the pieces of text on its pages.

import type { Line } from "@/viewer/docx";

/** A piece of text as pdf.js tells it; `y` grows upwards. */
export interface Piece {
  text: string;
  y: number;
  height: number;
  endsLine: boolean;
}

interface PageLine {
  text: string;
  y: number;
  height: number;
}

/** A heading is set larger than the text by at least this. */
const HEADING_SIZE = 1.15;
/** A gap between lines that is larger than this many line heights ends a paragraph. */
const GAP = 1.9;
/** A line on at least this part of the pages is a header or a footer. */
const REPEATED = 0.6;
const MIN_PAGES_TO_REPEAT = 3;

function pageLines(pieces: readonly Piece[]): PageLine[] {
  const lines: PageLine[] = [];
  let open: PageLine | undefined;
  for (const { text, y, height, endsLine } of pieces) {
    if (!open && (text.trim() !== "" || !endsLine)) {
      open = { text: "", y, height };
      lines.push(open);
    }
    if (open) {
      open.text += text;
      open.height = Math.max(open.height, height);
    }
    if (endsLine) open = undefined;
  }
  return lines.filter(({ text }) => text.trim() !== "");
}

/** The same for lines that differ in a page number only. */
function key(text: string): string {
  return text.trim().replace(/\d+/g, "#");
}

function repeatedLines(pages: readonly PageLine[][]): Set<string> {
  if (pages.length < MIN_PAGES_TO_REPEAT) return new Set();
  const counts = new Map<string, number>();
  for (const lines of pages) {
    for (const one of new Set(lines.map(({ text }) => key(text)))) counts.set(one, (counts.get(one) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= pages.length * REPEATED).map(([text]) => text));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Lines in reading order, without headers and footers; an empty line stands for a gap. */
export function pdfLines(pages: readonly (readonly Piece[])[]): Line[] {
  const all = pages.map(pageLines);
  const repeated = repeatedLines(all);
  const size = median(all.flat().map(({ height }) => height));
  const result: Line[] = [];
  for (const lines of all) {
    let last: PageLine | undefined;
    for (const line of lines) {
      if (repeated.has(key(line.text))) continue;
      if (last && last.y - line.y > GAP * Math.max(last.height, line.height)) result.push({ text: "", heading: false });
      result.push({ text: line.text.trim(), heading: line.height > size * HEADING_SIZE });
      last = line;
    }
  }
  return result;
}
