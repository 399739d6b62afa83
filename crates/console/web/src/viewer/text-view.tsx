import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { send } from "@/api/client";
import type { Document } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { type Line, docxLines } from "./docx";
import { openDocumentLines, pageLines, slideLines, workbookLines } from "./office";
import { findPassage, segments } from "./passage";

const OPEN_XML = "application/vnd.openxmlformats-officedocument";
/** How the text of a file is read that is no text itself, by media type. */
const READERS: Record<string, (buffer: ArrayBuffer) => Promise<Line[]>> = {
  [`${OPEN_XML}.wordprocessingml.document`]: docxLines,
  [`${OPEN_XML}.spreadsheetml.sheet`]: workbookLines,
  [`${OPEN_XML}.presentationml.presentation`]: slideLines,
  "application/vnd.oasis.opendocument.spreadsheet": openDocumentLines,
};

/** The lines of a document that has no pages. */
export async function documentLines(document: Document): Promise<Line[]> {
  const response = await send(`/v1/documents/${document.id}/content`);
  const read = READERS[document.mime_type];
  if (read) return read(await response.arrayBuffer());
  if (document.mime_type === "text/html") return pageLines(await response.text());
  const isMarkdown = document.mime_type === "text/markdown";
  const text = (await response.text()).split("\n");
  return text.map((line) => ({ text: line, heading: isMarkdown && /^#{1,6} /.test(line) }));
}

/** A document without pages, as text, with a passage marked. */
export function TextView({ document, passage }: { document: Document; passage: string }) {
  const { t } = useI18n();
  const content = useQuery({
    queryKey: ["document-text", document.id, document.sha256],
    queryFn: () => documentLines(document),
    staleTime: Infinity,
  });
  const shown = useMemo(() => {
    const all = content.data ?? [];
    const ranges = findPassage(all.map(({ text }) => text).join("\n"), passage);
    let offset = 0;
    return all.map(({ text, heading }) => {
      const cut = segments(text, offset, ranges);
      offset += text.length + 1;
      return { cut, heading };
    });
  }, [content.data, passage]);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    root.current?.querySelector("mark")?.scrollIntoView({ block: "center" });
  }, [shown]);
  if (content.isPending) return <Spinner label={t("loading")} />;
  if (content.isError) return <LoadError error={content.error} retry={() => void content.refetch()} />;
  const isFound = shown.some(({ cut }) => cut.some(({ marked }) => marked));
  return (
    <div ref={root} className="flex flex-col gap-3">
      {passage !== "" && !isFound && <Notice tone="warning">{t("passageNotFound")}</Notice>}
      <div className="rounded-md border border-line bg-raised p-4 leading-relaxed [overflow-wrap:anywhere] whitespace-pre-wrap">
        {shown.map(({ cut, heading }, number) => (
          <p key={number} className={heading ? "mt-3 font-semibold" : "min-h-4"}>
            {cut.map(({ text, marked }, part) => (marked ? <mark key={part}>{text}</mark> : text))}
          </p>
        ))}
      </div>
    </div>
  );
}
