// Changes the plan of a goal that awaits approval. What is edited is kept, whatever becomes of the plan meanwhile.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, useEffect, useRef } from "react";
import { ApiError } from "@/api/client";
import { goals } from "@/api/goals";
import type { Goal } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import type { FormDraft } from "@/lib/use-form-draft";
import { type DraftStep, MAX_STEPS, addStep, draftOf, isChanged, isComplete, toSend } from "./edits";
import { StepForm } from "./step-form";
import { useAgents } from "./use-agents";
import { goalKey, showGoal } from "./use-goal";

/** An edit of a plan. */
export interface PlanDraft {
  /** The version that it is based on; null if nothing is edited. */
  version: number | null;
  steps: DraftStep[];
  /** The edit that was put aside to look at a newer version. */
  kept: DraftStep[] | null;
}

export const NO_DRAFT: PlanDraft = { version: null, steps: [], kept: null };

function isStale(error: unknown): boolean {
  return error instanceof ApiError && error.code === "stale_version";
}

interface StaleProps {
  draft: PlanDraft;
  /** Version of the plan as it is now. */
  current: number;
  hasConflict: boolean;
  onLoadNew: () => void;
  onBack: () => void;
}

/** Somebody else changed the plan: both versions can be had, and neither is lost. */
function Stale({ draft, current, hasConflict, onLoadNew, onBack }: StaleProps) {
  const { t } = useI18n();
  if (draft.kept && !hasConflict) {
    return (
      <Notice tone="warning" action={<Button onClick={onBack}>{t("plan.backToMine")}</Button>}>
        {t("plan.kept", { version: draft.version ?? current })} {t("plan.backToMineHint")}
      </Notice>
    );
  }
  if (!hasConflict && draft.version === current) return null;
  return (
    <Notice tone="warning" action={<Button onClick={onLoadNew}>{t("plan.loadNew")}</Button>}>
      {t("plan.stale")}
    </Notice>
  );
}

interface EditorProps {
  goal: Goal;
  draft: FormDraft<PlanDraft>;
  onClose: () => void;
}

export function PlanEditor({ goal, draft: { fields, set }, onClose }: EditorProps) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const agents = useAgents();
  const heading = useRef<HTMLHeadingElement>(null);
  const { steps } = fields;
  const current = goal.plan?.version ?? 0;
  const original = draftOf(goal.plan?.steps ?? []);
  useEffect(() => heading.current?.focus(), []);
  const save = useMutation({
    mutationFn: () => goals.edit(goal.id, fields.version ?? current, toSend(steps)),
    onSuccess: (next) => {
      showGoal(queries, next);
      onClose();
    },
    // What the plan is by now.
    onError: (error) => isStale(error) && void queries.invalidateQueries({ queryKey: goalKey(goal.id) }),
  });
  const change = (next: DraftStep[]) => set({ ...fields, steps: next });
  const loadNew = async () => {
    save.reset();
    const load = { queryKey: goalKey(goal.id), queryFn: () => goals.get(goal.id), staleTime: 0 };
    const { plan } = await queries.fetchQuery(load);
    set({ version: plan?.version ?? current, steps: draftOf(plan?.steps ?? []), kept: fields.kept ?? steps });
  };
  const back = () => set({ version: current, steps: fields.kept ?? steps, kept: null });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const isSaveable = isComplete(steps) && isChanged(steps, original);
  return (
    <form onSubmit={submit} aria-label={t("plan.editing")} className="flex flex-col gap-3">
      <h2 ref={heading} tabIndex={-1} className="outline-none">
        {t("plan.editing")}
      </h2>
      <Stale
        draft={fields}
        current={current}
        hasConflict={isStale(save.error)}
        onLoadNew={() => void loadNew().catch(() => undefined)}
        onBack={back}
      />
      {agents.isError && <Notice>{agents.error.message || t("notReachable")}</Notice>}
      <ol className="flex flex-col gap-3">
        {steps.map((step, index) => (
          <li key={step.id}>
            <StepForm
              step={step}
              steps={steps}
              number={index + 1}
              agents={(agents.data ?? []).map(({ name }) => name)}
              onChange={change}
            />
          </li>
        ))}
      </ol>
      <Button
        className="self-start"
        disabled={steps.length >= MAX_STEPS}
        onClick={() => change(addStep(steps, agents.data?.[0]?.name ?? ""))}
      >
        <Plus aria-hidden /> {t("plan.add")}
      </Button>
      {steps.length >= MAX_STEPS && <p className="text-sm text-quiet">{t("plan.limit", { count: MAX_STEPS })}</p>}
      {!isComplete(steps) && <p className="text-sm text-quiet">{t("plan.incomplete")}</p>}
      {save.isError && !isStale(save.error) && <Notice>{save.error.message || t("notReachable")}</Notice>}
      <div className="flex flex-wrap gap-2 border-t border-line pt-3">
        <Button type="submit" variant="primary" disabled={save.isPending || !isSaveable}>
          {t("plan.save")}
        </Button>
        <Button onClick={onClose}>{t("plan.discard")}</Button>
      </div>
    </form>
  );
}
