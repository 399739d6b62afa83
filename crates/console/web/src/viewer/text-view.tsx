import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { send } from "@/api/client";
import type { Document } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { type Line, docxLines } from "./docx";
import { findPassage, segments } from "./passage";

const DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

async function lines(document: Document): Promise<Line[]> {
  const response = await send(`/v1/documents/${document.id}/content`);
  if (document.mime_type === DOCX) return docxLines(await response.arrayBuffer());
  const isMarkdown = document.mime_type === "text/markdown";
  const text = (await response.text()).split("\n");
  return text.map((line) => ({ text: line, heading: isMarkdown && /^#{1,6} /.test(line) }));
}

/** A document without pages, as text, with a passage marked. */
export function TextView({ document, passage }: { document: Document; passage: string }) {
  const { t } = useI18n();
  const content = useQuery({
    queryKey: ["document-text", document.id, document.sha256],
    queryFn: () => lines(document),
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
