import type { Document } from "@/api/types";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

/** How far the ingestion of a document has come, with the reason of a failure. */
export function DocumentStatus({ document, withReason = false }: { document: Document; withReason?: boolean }) {
  const { t, number } = useI18n();
  const { status, error, progress, warnings } = document;
  if (status === "failed") {
    return (
      <span className="inline-flex flex-wrap items-center gap-2">
        <Badge tone="alarm">{t("status.failed")}</Badge>
        {error && <span className={withReason ? "" : "text-sm"}>{error.detail}</span>}
      </span>
    );
  }
  if (status === "ready") {
    if (warnings.length === 0) return <Badge>{t("status.ready")}</Badge>;
    return (
      <span className="inline-flex flex-wrap items-center gap-2">
        <Badge tone="warning">{t("status.readyWithWarnings")}</Badge>
        {withReason && <span>{warnings.join(" ")}</span>}
      </span>
    );
  }
  const total = progress?.chunk_count;
  const part = progress && total ? ` ${number(progress.chunks_embedded / total, { style: "percent" })}` : "";
  return (
    <Badge>
      {t(`status.${status}`)}
      {part}
    </Badge>
  );
}
