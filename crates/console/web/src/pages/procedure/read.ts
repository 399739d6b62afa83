import type { Document } from "@/api/types";
import { send } from "@/api/client";
import { documentLines } from "@/viewer/text-view";
import { pdfLines } from "./pdf-lines";
import { type Section, sectionsOf } from "./steps";

/** The whole file in one request, since each counts towards its user's limit. */
async function pdfSections({ id }: Document): Promise<Section[]> {
  const [{ pdfPieces }, response] = await Promise.all([import("@/viewer/pdf-text"), send(`/v1/documents/${id}/content`)]);
  return sectionsOf(pdfLines(await pdfPieces(await response.arrayBuffer())), true);
}

export async function readSections(document: Document): Promise<Section[]> {
  if (document.mime_type === "application/pdf") return pdfSections(document);
  return sectionsOf(await documentLines(document), document.mime_type === "text/plain");
}
