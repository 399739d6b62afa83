// One step of a plan with all that is known of it: who does it, what came out, and on what that rests.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { RotateCw } from "lucide-react";
import { useId } from "react";
import { goals } from "@/api/goals";
import type { Citation, Goal, Step } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Badge, Notice } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { AnswerText } from "@/pages/chat/answer-text";
import { ApprovalCard } from "@/pages/chat/approval-card";
import { Sources } from "@/pages/chat/sources";
import { After, stepAnchor } from "./plan-graph";
import { StepState } from "./state";
import { showGoal } from "./use-goal";

/** How often a step is tried at most. */
const MAX_ATTEMPTS = 3;
const NONE: never[] = [];

const CODES: Record<string, MessageKey> = {
  plan_invalid: "goalError.plan_invalid",
  model_unavailable: "goalError.model_unavailable",
  quota_exceeded: "goalError.quota_exceeded",
  dependency_failed: "goalError.dependency_failed",
  tool_not_used: "goalError.tool_not_used",
  not_approved: "goalError.not_approved",
  cancelled: "goalError.cancelled",
  above_clearance: "goalError.above_clearance",
};

/** Why a goal or a step failed: a sentence, and the code that documentation and logs know. */
export function ErrorText({ error: { code, detail } }: { error: { code: string; detail: string } }) {
  const { t } = useI18n();
  const known = CODES[code];
  return (
    <span className="[overflow-wrap:anywhere]">
      {known ? t(known) : visibleText(detail)} <span className="text-sm">{t("goal.code", { code })}</span>
    </span>
  );
}

interface EvidenceProps {
  text: string;
  citations: Citation[];
  onCitation: (citation: Citation) => void;
}

/** What a step found out, with its sources. */
export function Evidence({ text, citations, onCitation }: EvidenceProps) {
  return (
    <div className="flex flex-col gap-3">
      <AnswerText text={text} citations={citations} unsupported={NONE} onCitation={onCitation} />
      <Sources citations={citations} onCitation={onCitation} />
    </div>
  );
}

function RetryButton({ goal, step, title }: { goal: Goal; step: Step; title: string }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const retry = useMutation({
    mutationFn: () => goals.retry(goal.id, step.id),
    onSuccess: (next) => showGoal(queries, next),
  });
  return (
    <>
      <Button aria-describedby={title} disabled={retry.isPending} onClick={() => retry.mutate()}>
        <RotateCw aria-hidden /> {t("retry")}
      </Button>
      {retry.isError && <Notice>{retry.error.message || t("notReachable")}</Notice>}
    </>
  );
}

interface StepProps {
  goal: Goal;
  step: Step;
  steps: readonly Step[];
  number: number;
  /** Whether what came out is shown elsewhere on the page already. */
  isResult: boolean;
  onCitation: (citation: Citation) => void;
}

export function StepDetails({ goal, step, steps, number, isResult, onCitation }: StepProps) {
  const { t } = useI18n();
  const heading = useId();
  const { id, title, agent, instruction, status, attempts, output, citations, error, approvals, classification } = step;
  const isFailed = status === "failed";
  const isOpen = goal.status === "failed" || goal.status === "running";
  const mayRetry = isFailed && isOpen && attempts < MAX_ATTEMPTS;
  const facts = [t("step.by", { agent }), attempts > 0 && t("step.attempts", { count: attempts })];
  return (
    <article
      id={stepAnchor(id)}
      tabIndex={-1}
      aria-labelledby={heading}
      className="flex scroll-mt-4 flex-col gap-3 rounded-lg border border-line bg-raised p-4"
    >
      <div className="flex flex-wrap items-start gap-x-4 gap-y-1">
        <div className="min-w-0 flex-1 basis-56">
          <h3 id={heading} className="font-semibold [overflow-wrap:anywhere]">
            {number}. {visibleText(title)}
          </h3>
          <p className="text-sm text-quiet [overflow-wrap:anywhere]">{facts.filter(Boolean).join(" · ")}</p>
          <p className="text-sm text-quiet [overflow-wrap:anywhere]">
            <After step={step} steps={steps} />
          </p>
        </div>
        {(classification === "confidential" || classification === "restricted") && (
          <Badge>{t(`class.${classification}`)}</Badge>
        )}
        <StepState status={status} />
      </div>
      {error &&
        (isFailed ? (
          <Notice>
            <ErrorText error={error} />
          </Notice>
        ) : (
          <p className="text-sm text-quiet">
            <ErrorText error={error} />
          </p>
        ))}
      {approvals.map((approval) => (
        <ApprovalCard key={approval} id={approval} />
      ))}
      {mayRetry && (
        <div className="flex flex-wrap items-center gap-3">
          <RetryButton goal={goal} step={step} title={heading} />
        </div>
      )}
      {isFailed && attempts >= MAX_ATTEMPTS && <p className="text-sm text-quiet">{t("step.noMoreTries")}</p>}
      <details open={goal.status === "awaiting_approval"}>
        <summary className="flex min-h-target cursor-pointer items-center text-quiet">{t("step.instruction")}</summary>
        <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">{visibleText(instruction)}</p>
      </details>
      {output && (
        <details open={!isResult}>
          <summary className="flex min-h-target cursor-pointer items-center text-quiet">{t("step.output")}</summary>
          <Evidence text={output} citations={citations} onCitation={onCitation} />
          {citations.length === 0 && <p className="mt-2 text-sm text-quiet">{t("step.noSources")}</p>}
        </details>
      )}
    </article>
  );
}
