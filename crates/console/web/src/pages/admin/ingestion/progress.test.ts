import { expect, it } from "vitest";
import { progressOf } from "./progress";

it("progress goes from reading to embedding and never back", () => {
  const parts = [
    { pages_read: 0, page_count: 10, chunks_embedded: 0, chunk_count: null },
    { pages_read: 10, page_count: 10, chunks_embedded: 0, chunk_count: null },
    { pages_read: 10, page_count: 10, chunks_embedded: 0, chunk_count: 40 },
    { pages_read: 10, page_count: 10, chunks_embedded: 40, chunk_count: 40 },
  ].map((progress) => progressOf({ progress })?.part);
  expect(parts).toEqual([0, 0.5, 0.5, 1]);
});

it("progress is unknown before the document is opened", () => {
  expect(progressOf({ progress: null })).toBeUndefined();
  expect(progressOf({ progress: { pages_read: 0, page_count: null, chunks_embedded: 0, chunk_count: null } })).toBeUndefined();
});
