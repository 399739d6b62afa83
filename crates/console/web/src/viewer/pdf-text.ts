// The text of a PDF file, without its pictures.

import * as pdfjs from "pdfjs-dist";
import workerUrl from "pdfjs-dist/build/pdf.worker.min.mjs?url";
import type { Piece } from "@/pages/procedure/pdf-lines";

pdfjs.GlobalWorkerOptions.workerSrc = workerUrl;

/** The pieces of text of each page. */
export async function pdfPieces(data: ArrayBuffer): Promise<Piece[][]> {
  const task = pdfjs.getDocument({
    data,
    cMapUrl: "/ui/pdfjs/cmaps/",
    standardFontDataUrl: "/ui/pdfjs/standard_fonts/",
    // Compiling WebAssembly and scripts would need a weaker security policy.
    useWasm: false,
    isEvalSupported: false,
    enableXfa: false,
  });
  try {
    const document = await task.promise;
    const pages: Piece[][] = [];
    for (let number = 1; number <= document.numPages; number += 1) {
      const { items } = await (await document.getPage(number)).getTextContent();
      const texts = items.filter((item) => "str" in item);
      pages.push(texts.map(({ str, transform, height, hasEOL }) => ({
        text: str,
        y: Number(transform[5]),
        height,
        endsLine: hasEOL,
      })));
    }
    return pages;
  } finally {
    await task.destroy();
  }
}
