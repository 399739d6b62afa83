import type { Document } from "@/api/types";

/** Steps of the work on a document; how many there are is not known at first. */
export interface Progress {
  step: "read" | "embed";
  done: number;
  count: number;
  /** Of the whole work, from 0 to 1: half of it is reading, half embedding. */
  part: number;
}

/** How far a document is, or `undefined` before anything is known of its length. */
export function progressOf({ progress }: Pick<Document, "progress">): Progress | undefined {
  if (!progress) return undefined;
  const { pages_read, page_count, chunks_embedded, chunk_count } = progress;
  const share = (done: number, count: number) => Math.min(done / count, 1) / 2;
  if (chunk_count) {
    return { step: "embed", done: chunks_embedded, count: chunk_count, part: 0.5 + share(chunks_embedded, chunk_count) };
  }
  if (page_count) return { step: "read", done: pages_read, count: page_count, part: share(pages_read, page_count) };
  return undefined;
}
