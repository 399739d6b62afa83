// Where in a document: its deep link. The passage is in the fragment, which browsers send to no server.

import type { DocumentCitation, SearchResult } from "@/api/types";

/** As much of a passage as a link needs. */
const MAX_PASSAGE = 700;

export interface DocumentLocation {
  id: string;
  page: number | null;
  passage: string;
}

export function documentPath({ id, page, passage }: DocumentLocation): string {
  const query = page === null ? "" : `?page=${page}`;
  const fragment = passage === "" ? "" : `#passage=${encodeURIComponent(passage.slice(0, MAX_PASSAGE))}`;
  return `/documents/${id}${query}${fragment}`;
}

export function parseLocation(id: string, search: string, hash: string): DocumentLocation {
  const page = Number(new URLSearchParams(search).get("page"));
  const passage = new URLSearchParams(hash.replace(/^#/, "")).get("passage") ?? "";
  return { id, page: Number.isInteger(page) && page > 0 ? page : null, passage };
}

export function citationLocation({ document_id, page, quote }: DocumentCitation): DocumentLocation {
  return { id: document_id, page: page ?? null, passage: quote };
}

export function resultLocation({ document_id, page, content }: SearchResult): DocumentLocation {
  return { id: document_id, page: page ?? null, passage: content };
}
