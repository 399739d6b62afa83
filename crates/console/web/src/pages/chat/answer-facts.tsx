import { Badge } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import type { RunFacts } from "./live-runs";

const ESCALATIONS: Record<string, MessageKey> = {
  wish: "escalated.wish",
  length: "escalated.length",
  reasoning: "escalated.reasoning",
  documents: "escalated.documents",
  tools: "escalated.tools",
};

/** How an answer came about: which models, and what was not as it should be. */
export function AnswerFacts({ facts, degraded }: { facts: RunFacts; degraded: boolean }) {
  const { t } = useI18n();
  const { tier, escalated, fallback, leftOut = 0 } = facts;
  const reason = escalated ? ESCALATIONS[escalated] : undefined;
  return (
    <>
      {(tier === "fast" || tier === "heavy") && <Badge title={reason && t(reason)}>{t(`tier.${tier}`)}</Badge>}
      {fallback && (
        <Badge tone="warning" title={t("fallbackHint")}>
          {t("fallback")}
        </Badge>
      )}
      {leftOut > 0 && (
        <Badge tone="warning" title={t("leftOutHint")}>
          {t("leftOut", { count: leftOut })}
        </Badge>
      )}
      {degraded && !fallback && leftOut === 0 && (
        <Badge tone="warning" title={t("degradedHint")}>
          {t("degraded")}
        </Badge>
      )}
    </>
  );
}
