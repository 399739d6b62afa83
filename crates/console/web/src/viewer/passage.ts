// Finds a passage in a text that was read in another way: only letters and digits count, so that line breaks, hyphens,
// bullets and table lines do not matter.

export interface Range {
  start: number;
  end: number;
}

/** Parts of a passage that are shorter are too common to be looked for on their own. */
const MIN_PART = 24;

interface Letters {
  text: string;
  /** For each letter its place in the original text. */
  places: number[];
}

function letters(text: string): Letters {
  let kept = "";
  const places: number[] = [];
  for (let place = 0; place < text.length; place += 1) {
    const character = text[place] as string;
    if (/[\p{L}\p{N}]/u.test(character)) {
      const lower = character.toLowerCase();
      kept += lower;
      for (let unit = 0; unit < lower.length; unit += 1) places.push(place);
    }
  }
  return { text: kept, places };
}

function rangeOf({ places }: Letters, start: number, length: number): Range {
  return { start: places[start] as number, end: (places[start + length - 1] as number) + 1 };
}

/** Sentences, lines and cells of a passage. */
function parts(passage: string): string[] {
  return passage.split(/(?<=[.!?;:])\s+|\n+|\||…/);
}

/**
 * The places of a passage in a text: all of it if it is there in one piece, otherwise those of its parts that are.
 * Ranges are in order and do not overlap.
 */
export function findPassage(text: string, passage: string): Range[] {
  const haystack = letters(text);
  const whole = letters(passage).text;
  if (whole === "") return [];
  const at = haystack.text.indexOf(whole);
  if (at >= 0) return [rangeOf(haystack, at, whole.length)];
  const found: Range[] = [];
  for (const part of parts(passage)) {
    const wanted = letters(part).text;
    const place = wanted.length >= MIN_PART ? haystack.text.indexOf(wanted) : -1;
    if (place >= 0) found.push(rangeOf(haystack, place, wanted.length));
  }
  if (found.length > 0) return merge(found);
  return longestStart(haystack, whole);
}

/** The beginning or end of a passage that a page break cuts. */
function longestStart(haystack: Letters, whole: string): Range[] {
  for (let length = whole.length - 1; length >= MIN_PART; length -= 1) {
    const start = haystack.text.indexOf(whole.slice(0, length));
    if (start >= 0) return [rangeOf(haystack, start, length)];
    const end = haystack.text.indexOf(whole.slice(whole.length - length));
    if (end >= 0) return [rangeOf(haystack, end, length)];
  }
  return [];
}

function merge(ranges: Range[]): Range[] {
  const merged: Range[] = [];
  for (const range of ranges.sort((one, other) => one.start - other.start)) {
    const last = merged.at(-1);
    if (last && range.start <= last.end + 1) last.end = Math.max(last.end, range.end);
    else merged.push({ ...range });
  }
  return merged;
}

export interface Segment {
  text: string;
  marked: boolean;
}

/** Cuts a text that begins at `offset` of a longer one at the borders of that one's ranges. */
export function segments(text: string, offset: number, ranges: readonly Range[]): Segment[] {
  const cut: Segment[] = [];
  let at = 0;
  for (const range of ranges) {
    const start = Math.max(range.start - offset, at);
    const end = Math.min(range.end - offset, text.length);
    if (end <= start) continue;
    if (start > at) cut.push({ text: text.slice(at, start), marked: false });
    cut.push({ text: text.slice(start, end), marked: true });
    at = end;
  }
  if (at < text.length) cut.push({ text: text.slice(at), marked: false });
  return cut;
}
