import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { send } from "@/api/client";
import type { Document } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { docxParagraphs } from "./docx";
import { findPassage, segments } from "./passage";

const DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

async function paragraphs(document: Document): Promise<string[]> {
  const response = await send(`/v1/documents/${document.id}/content`);
  if (document.mime_type === DOCX) return docxParagraphs(await response.arrayBuffer());
  return (await response.text()).split("\n");
}

/** A document without pages, as text, with a passage marked. */
export function TextView({ document, passage }: { document: Document; passage: string }) {
  const { t } = useI18n();
  const content = useQuery({
    queryKey: ["document-text", document.id, document.sha256],
    queryFn: () => paragraphs(document),
    staleTime: Infinity,
  });
  const shown = useMemo(() => {
    const lines = content.data ?? [];
    const ranges = findPassage(lines.join("\n"), passage);
    let offset = 0;
    return lines.map((line) => {
      const cut = segments(line, offset, ranges);
      offset += line.length + 1;
      return cut;
    });
  }, [content.data, passage]);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    root.current?.querySelector("mark")?.scrollIntoView({ block: "center" });
  }, [shown]);
  if (content.isPending) return <Spinner label={t("loading")} />;
  if (content.isError) return <LoadError error={content.error} retry={() => void content.refetch()} />;
  const isFound = shown.some((line) => line.some(({ marked }) => marked));
  return (
    <div ref={root} className="flex flex-col gap-3">
      {passage !== "" && !isFound && <Notice tone="warning">{t("passageNotFound")}</Notice>}
      <div className="rounded-md border border-line bg-raised p-4 leading-relaxed [overflow-wrap:anywhere] whitespace-pre-wrap">
        {shown.map((line, number) => (
          <p key={number} className="min-h-4">
            {line.map(({ text, marked }, part) => (marked ? <mark key={part}>{text}</mark> : text))}
          </p>
        ))}
      </div>
    </div>
  );
}
