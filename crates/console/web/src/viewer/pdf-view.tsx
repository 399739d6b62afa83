// One page of a PDF file: its picture, its text above it, and a passage marked in that. Only the parts of the file that
// the page needs are loaded.

import { ChevronLeft, ChevronRight, ZoomIn, ZoomOut } from "lucide-react";
import * as pdfjs from "pdfjs-dist";
import workerUrl from "pdfjs-dist/build/pdf.worker.min.mjs?url";
import { useEffect, useRef, useState } from "react";
import { authorization } from "@/api/client";
import { IconButton } from "@/components/ui/button";
import { Input } from "@/components/ui/field";
import { Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { findPassage, segments } from "./passage";

pdfjs.GlobalWorkerOptions.workerSrc = workerUrl;

const ZOOMS = [0.75, 1, 1.25, 1.5, 2, 3];
const MAX_PIXEL_RATIO = 2;
/** Large parts, since each is a request that counts towards its user's limit. A file of up to two is loaded at once. */
const RANGE_BYTES = 1 << 19;

function open(id: string) {
  return pdfjs.getDocument({
    url: `/v1/documents/${id}/content`,
    httpHeaders: authorization(),
    rangeChunkSize: RANGE_BYTES,
    disableAutoFetch: true,
    disableStream: true,
    cMapUrl: "/ui/pdfjs/cmaps/",
    standardFontDataUrl: "/ui/pdfjs/standard_fonts/",
    // Compiling WebAssembly and scripts would need a weaker security policy.
    useWasm: false,
    isEvalSupported: false,
    enableXfa: false,
  });
}

function useDocument(id: string) {
  const [state, setState] = useState<{ document?: pdfjs.PDFDocumentProxy; failed: boolean }>({ failed: false });
  useEffect(() => {
    const task = open(id);
    let current = true;
    setState({ failed: false });
    task.promise.then(
      (document) => current && setState({ document, failed: false }),
      () => current && setState({ failed: true }),
    );
    return () => {
      current = false;
      void task.destroy();
    };
  }, [id]);
  return state;
}

/** Marks the passage in the text layer; returns the first mark. */
function mark(divs: HTMLElement[], texts: string[], passage: string): HTMLElement | undefined {
  const ranges = findPassage(texts.join("\n"), passage);
  let offset = 0;
  let first: HTMLElement | undefined;
  for (const [index, text] of texts.entries()) {
    const cut = segments(text, offset, ranges);
    offset += text.length + 1;
    const div = divs[index];
    if (!div || !cut.some(({ marked }) => marked)) continue;
    div.replaceChildren(
      ...cut.map(({ text: part, marked }) => {
        if (!marked) return document.createTextNode(part);
        const element = document.createElement("mark");
        element.textContent = part;
        first ??= element;
        return element;
      }),
    );
  }
  return first;
}

interface RenderedPage {
  /** Null until the text is there. */
  isPassageFound: boolean | null;
  failed: boolean;
}

interface PageTarget {
  pdf: pdfjs.PDFDocumentProxy | undefined;
  number: number;
  zoom: number;
  passage: string;
}

function usePage(holder: React.RefObject<HTMLDivElement | null>, { pdf, number, zoom, passage }: PageTarget) {
  const [rendered, setRendered] = useState<RenderedPage>({ isPassageFound: null, failed: false });
  useEffect(() => {
    const element = holder.current;
    if (!pdf || !element) return;
    let current = true;
    let cancel = () => {};
    const draw = async () => {
      const page = await pdf.getPage(number);
      if (!current) return;
      const width = (element.parentElement?.clientWidth ?? 600) - 2;
      const scale = (width / page.getViewport({ scale: 1 }).width) * zoom;
      const viewport = page.getViewport({ scale });
      const canvas = document.createElement("canvas");
      const ratio = Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO);
      canvas.width = Math.floor(viewport.width * ratio);
      canvas.height = Math.floor(viewport.height * ratio);
      canvas.style.width = "100%";
      const layer = document.createElement("div");
      layer.className = "textLayer";
      element.style.width = `${viewport.width}px`;
      element.style.height = `${viewport.height}px`;
      element.style.setProperty("--total-scale-factor", String(scale));
      element.replaceChildren(canvas, layer);
      const task = page.render({ canvas, viewport, transform: [ratio, 0, 0, ratio, 0, 0] });
      cancel = () => task.cancel();
      const textLayer = new pdfjs.TextLayer({ textContentSource: await page.getTextContent(), container: layer, viewport });
      await textLayer.render();
      if (!current) return;
      const first = mark(textLayer.textDivs, textLayer.textContentItemsStr, passage);
      first?.scrollIntoView({ block: "center" });
      setRendered({ isPassageFound: first !== undefined, failed: false });
      await task.promise;
    };
    setRendered({ isPassageFound: null, failed: false });
    draw().catch(() => current && setRendered({ isPassageFound: null, failed: true }));
    return () => {
      current = false;
      cancel();
    };
  }, [holder, pdf, number, zoom, passage]);
  return rendered;
}

interface PdfViewProps {
  id: string;
  page: number;
  onPage: (page: number) => void;
  passage: string;
}

export default function PdfView({ id, page, onPage, passage }: PdfViewProps) {
  const { t } = useI18n();
  const { document: pdf, failed } = useDocument(id);
  const [zoom, setZoom] = useState(1);
  const holder = useRef<HTMLDivElement>(null);
  const count = pdf?.numPages ?? 0;
  const number = Math.min(Math.max(page, 1), Math.max(count, 1));
  const { isPassageFound, failed: drawingFailed } = usePage(holder, { pdf, number, zoom, passage });
  if (failed || drawingFailed) return <Notice>{t("documentUnreadable")}</Notice>;
  const step = (by: number) => setZoom(ZOOMS[ZOOMS.indexOf(zoom) + by] ?? zoom);
  return (
    <div className="flex min-h-0 flex-col gap-2">
      <div className="no-print flex flex-wrap items-center sm:gap-1" role="toolbar" aria-label={t("pageControls")}>
        <IconButton label={t("previousPage")} disabled={number <= 1} onClick={() => onPage(number - 1)}>
          <ChevronLeft />
        </IconButton>
        <label className="flex items-center gap-2">
          <span className="sr-only sm:not-sr-only">{t("page")}</span>
          <Input
            key={number}
            className="w-14 px-1 text-center sm:w-20"
            inputMode="numeric"
            defaultValue={number}
            onBlur={(event) => onPage(Number(event.target.value) || number)}
            onKeyDown={(event) => event.key === "Enter" && onPage(Number(event.currentTarget.value) || number)}
          />
          <span className="whitespace-nowrap">{t("ofPages", { count })}</span>
        </label>
        <IconButton label={t("nextPage")} disabled={number >= count} onClick={() => onPage(number + 1)}>
          <ChevronRight />
        </IconButton>
        <IconButton label={t("zoomOut")} disabled={zoom === ZOOMS[0]} onClick={() => step(-1)}>
          <ZoomOut />
        </IconButton>
        <IconButton label={t("zoomIn")} disabled={zoom === ZOOMS.at(-1)} onClick={() => step(1)}>
          <ZoomIn />
        </IconButton>
      </div>
      {passage !== "" && isPassageFound === false && <Notice tone="warning">{t("passageNotFound")}</Notice>}
      {!pdf && <Spinner label={t("loading")} />}
      {/* It scrolls sideways when it is zoomed in. */}
      <div className="overflow-auto" tabIndex={0} role="region" aria-label={t("pageOf", { page: number, count })}>
        <div ref={holder} className="pdf-page border border-line" />
      </div>
    </div>
  );
}
