import type { MouseEvent } from "react";
import { useHref } from "react-router";
import type { Citation } from "@/api/types";
import { useI18n } from "@/i18n";
import { citationLocation, documentPath } from "@/viewer/location";

interface SourcesProps {
  citations: readonly Citation[];
  onCitation: (citation: Citation) => void;
}

function isPlainClick(event: MouseEvent) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

function SourceLink({ citation, onCitation }: { citation: Citation; onCitation: (citation: Citation) => void }) {
  const { t } = useI18n();
  const { n, doc, page, section } = citation;
  const open = (event: MouseEvent) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    onCitation(citation);
  };
  return (
    <a
      href={useHref(documentPath(citationLocation(citation)))}
      onClick={open}
      className="flex min-h-target items-center gap-3 rounded-md border border-line bg-surface px-3 py-1.5 hover:bg-ground"
    >
      <span className="font-semibold">[{n}]</span>{" "}
      <span className="min-w-0">
        <span className="[overflow-wrap:anywhere]">{doc}</span>
        {page !== null && page !== undefined && <span className="text-quiet">, {t("pageNumber", { page })}</span>}
        {section && <span className="block truncate text-sm text-quiet">{section}</span>}
      </span>
    </a>
  );
}

/** The sources of an answer. */
export function Sources({ citations, onCitation }: SourcesProps) {
  const { t } = useI18n();
  if (citations.length === 0) return null;
  return (
    <section aria-label={t("sources")}>
      <ul className="grid grid-cols-[repeat(auto-fit,minmax(min(15rem,100%),1fr))] gap-2">
        {citations.map((citation) => (
          <li key={citation.n} className="min-w-0">
            <SourceLink citation={citation} onCitation={onCitation} />
          </li>
        ))}
      </ul>
    </section>
  );
}
