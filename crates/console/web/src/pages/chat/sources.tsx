import type { MouseEvent, ReactNode } from "react";
import { useHref } from "react-router";
import type { Citation, DocumentCitation, ReadingCitation } from "@/api/types";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { tagPath } from "@/pages/plant/location";
import { QualityMark, useFormatAge, useFormatValue } from "@/pages/plant/value";
import { citationLocation, documentPath } from "@/viewer/location";

interface SourcesProps {
  citations: readonly Citation[];
  onCitation: (citation: Citation) => void;
}

function isPlainClick(event: MouseEvent) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

interface SourceLinkProps {
  citation: Citation;
  path: string;
  onCitation: (citation: Citation) => void;
  children: ReactNode;
}

function SourceLink({ citation, path, onCitation, children }: SourceLinkProps) {
  const open = (event: MouseEvent) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    onCitation(citation);
  };
  return (
    <a
      href={useHref(path)}
      onClick={open}
      className="flex min-h-target items-center gap-3 rounded-md border border-line bg-surface px-3 py-1.5 hover:bg-ground"
    >
      <span className="font-semibold">[{citation.n}]</span> <span className="min-w-0">{children}</span>
    </a>
  );
}

function Passage({ citation: { doc, page, section } }: { citation: DocumentCitation }) {
  const { t } = useI18n();
  return (
    <>
      <span className="[overflow-wrap:anywhere]">{doc}</span>
      {page !== null && page !== undefined && <span className="text-quiet">, {t("pageNumber", { page })}</span>}
      {section && <span className="block truncate text-sm text-quiet">{section}</span>}
    </>
  );
}

/** A value of a plant system: what it is, how far it can be relied on, and how old it is by now. */
function Measured({ citation: { tag, value, unit, quality, at, source, stale } }: { citation: ReadingCitation }) {
  const { t, moment } = useI18n();
  const formatValue = useFormatValue();
  const formatAge = useFormatAge();
  return (
    <>
      <span className="[overflow-wrap:anywhere]">
        {visibleText(tag)}: <span className="font-semibold tabular-nums">{formatValue(value, unit)}</span>
      </span>
      <span className="flex flex-wrap items-center gap-x-2 text-sm text-quiet">
        <QualityMark quality={quality} />
        {stale && <Badge tone="warning">{t("reading.stale")}</Badge>}
        {at && (
          <time dateTime={at} title={moment(at)}>
            {formatAge((Date.now() - Date.parse(at)) / 1_000)}
          </time>
        )}
        <span className="[overflow-wrap:anywhere]">{t("reading.from", { source: visibleText(source) })}</span>
      </span>
    </>
  );
}

function Source({ citation, onCitation }: { citation: Citation; onCitation: (citation: Citation) => void }) {
  if (citation.kind === "reading") {
    return (
      <SourceLink citation={citation} path={tagPath(citation.tag)} onCitation={onCitation}>
        <Measured citation={citation} />
      </SourceLink>
    );
  }
  return (
    <SourceLink citation={citation} path={documentPath(citationLocation(citation))} onCitation={onCitation}>
      <Passage citation={citation} />
    </SourceLink>
  );
}

function List({ name, citations, onCitation }: SourcesProps & { name: string }) {
  if (citations.length === 0) return null;
  return (
    <section aria-label={name}>
      <ul className="grid grid-cols-[repeat(auto-fit,minmax(min(15rem,100%),1fr))] gap-2">
        {citations.map((citation) => (
          <li key={citation.n} className="min-w-0">
            <Source citation={citation} onCitation={onCitation} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The sources of an answer: passages of documents, and apart from them values of plant systems. */
export function Sources({ citations, onCitation }: SourcesProps) {
  const { t } = useI18n();
  const readings = citations.filter(({ kind }) => kind === "reading");
  const passages = citations.filter(({ kind }) => kind !== "reading");
  return (
    <>
      <List name={t("sources")} citations={passages} onCitation={onCitation} />
      <List name={t("measuredValues")} citations={readings} onCitation={onCitation} />
    </>
  );
}
