import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Check, Pencil } from "lucide-react";
import { Suspense, lazy, useCallback, useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { ApiError } from "@/api/client";
import { goals, isOver } from "@/api/goals";
import type { Citation, Goal } from "@/api/types";
import { Page } from "@/components/page";
import { Button, buttonVariants } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { type FormDraft, useFormDraft } from "@/lib/use-form-draft";
import { cn } from "@/lib/utils";
import { DocumentPanel } from "@/viewer/document-panel";
import { citationLocation } from "@/viewer/location";
import { draftOf } from "./edits";
import { inOrder, leaves } from "./levels";
import { NO_DRAFT, type PlanDraft, PlanEditor } from "./plan-editor";
import { PlanGraph, numbers } from "./plan-graph";
import { countDone } from "./progress";
import { GoalState } from "./state";
import { ErrorText, Evidence, StepDetails } from "./step-details";
import { goalKey, isMissing, showGoal, useGoal } from "./use-goal";

const TagPanel = lazy(async () => ({ default: (await import("@/pages/plant/tag-panel")).TagPanel }));

function CancelButton({ goal }: { goal: Goal }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const cancel = useMutation({
    mutationFn: () => goals.cancel(goal.id),
    onSuccess: (next) => {
      showGoal(queries, next);
      setAsking(false);
    },
  });
  return (
    <>
      <Button onClick={() => setAsking(true)}>{t("goal.cancel")}</Button>
      <Dialog
        open={isAsking}
        onClose={() => setAsking(false)}
        title={t("goal.confirmCancel")}
        description={t("goal.confirmCancelHint")}
      >
        {cancel.isError && <Notice>{cancel.error.message || t("notReachable")}</Notice>}
        <div className="mt-2 flex flex-wrap justify-end gap-2">
          <Button onClick={() => setAsking(false)}>{t("goal.keep")}</Button>
          <Button variant="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
            {t("goal.cancel")}
          </Button>
        </div>
      </Dialog>
    </>
  );
}

/** Approves the version of the plan that was read, or begins to edit it. */
function Decide({ goal, draft }: { goal: Goal; draft: FormDraft<PlanDraft> }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const version = goal.plan?.version ?? 0;
  // What the user has on the screen when approving; a version that comes meanwhile has to be read first.
  const [read, setRead] = useState(version);
  const approve = useMutation({
    mutationFn: () => goals.approve(goal.id, read),
    onSuccess: (next) => showGoal(queries, next),
    onError: () => void queries.invalidateQueries({ queryKey: goalKey(goal.id) }),
  });
  const isStale = approve.error instanceof ApiError && approve.error.code === "stale_version";
  const edit = () => draft.set({ version, steps: draftOf(goal.plan?.steps ?? []), kept: null });
  const haveRead = () => {
    approve.reset();
    setRead(version);
  };
  return (
    <section aria-label={t("plan.title")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      {read === version ? (
        <p>{t("goal.readPlan")}</p>
      ) : (
        <Notice tone="warning" action={<Button onClick={haveRead}>{t("goal.haveRead")}</Button>}>
          {t(isStale ? "goal.stale" : "goal.planChanged")}
        </Notice>
      )}
      {approve.isError && !isStale && <Notice>{approve.error.message || t("notReachable")}</Notice>}
      <div className="flex flex-wrap gap-2">
        <Button
          variant="primary"
          disabled={approve.isPending || read !== version}
          onClick={() => approve.mutate()}
        >
          <Check aria-hidden /> {t("approve")}
        </Button>
        <Button onClick={edit}>
          <Pencil aria-hidden /> {t("plan.edit")}
        </Button>
      </div>
    </section>
  );
}

/** The outputs of the steps that no other one needs. */
function Result({ goal, onCitation }: { goal: Goal; onCitation: (citation: Citation) => void }) {
  const { t } = useI18n();
  const last = leaves(goal.plan?.steps ?? []).filter(({ output }) => output);
  if (!goal.result && last.length === 0) return null;
  return (
    <section aria-labelledby="result" className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <h2 id="result">{t("goal.result")}</h2>
      {last.length === 0 && <Evidence text={goal.result ?? ""} citations={[]} onCitation={onCitation} />}
      {last.map(({ id, title, output, citations }) => (
        <section key={id} aria-label={visibleText(title)} className="flex flex-col gap-2">
          {last.length > 1 && <h3 className="font-semibold [overflow-wrap:anywhere]">{visibleText(title)}</h3>}
          <Evidence text={output ?? ""} citations={citations} onCitation={onCitation} />
        </section>
      ))}
    </section>
  );
}

function Plan({ goal, onCitation }: { goal: Goal; onCitation: (citation: Citation) => void }) {
  const { t } = useI18n();
  const steps = useMemo(() => goal.plan?.steps ?? [], [goal.plan]);
  const number = useMemo(() => numbers(steps), [steps]);
  const results = new Set(goal.status === "succeeded" ? leaves(steps).map(({ id }) => id) : []);
  return (
    <>
      <section aria-labelledby="plan" className="flex flex-col gap-2">
        <h2 id="plan">
          {t("plan.title")}{" "}
          <span className="text-sm font-normal text-quiet">
            {t("plan.version", { version: goal.plan?.version ?? 0 })}
          </span>
        </h2>
        <PlanGraph steps={steps} />
      </section>
      <section aria-labelledby="steps" className="flex flex-col gap-2">
        <h2 id="steps">{t("plan.steps")}</h2>
        <ol className="flex flex-col gap-3">
          {inOrder(steps).map((step) => (
            <li key={step.id}>
              <StepDetails
                goal={goal}
                step={step}
                steps={steps}
                number={number.get(step.id) ?? 0}
                isResult={results.has(step.id)}
                onCitation={onCitation}
              />
            </li>
          ))}
        </ol>
      </section>
    </>
  );
}

interface OneGoalProps {
  goal: Goal;
  isLost: boolean;
  onCitation: (citation: Citation) => void;
}

function OneGoal({ goal, isLost, onCitation }: OneGoalProps) {
  const { t, moment, number } = useI18n();
  const draft = useFormDraft<PlanDraft>(`goal.${goal.id}`, NO_DRAFT);
  const { id, objective, status, error, plan, usage, created_at } = goal;
  const progress = countDone(goal);
  const tokens = usage.input_tokens + usage.output_tokens;
  const facts = [
    t("goal.created", { at: moment(created_at) }),
    progress.count > 0 && t("goal.done", progress),
    tokens > 0 && t("goal.tokens", { count: number(tokens) }),
  ];
  const isWaiting = status === "awaiting_approval";
  const isEditing = isWaiting && draft.fields.version !== null;
  const close = () => {
    draft.set(NO_DRAFT);
    draft.discard();
  };
  return (
    <>
      <p className="text-lg [overflow-wrap:anywhere] whitespace-pre-wrap">{visibleText(objective)}</p>
      <div className="flex flex-wrap items-center gap-3">
        <span role="status">
          <GoalState status={status} />
        </span>
        <span className="min-w-0 flex-1 basis-56 text-sm text-quiet">{facts.filter(Boolean).join(" · ")}</span>
        {!isOver(status) && <CancelButton goal={goal} />}
      </div>
      {isLost && <Notice tone="warning">{t("goal.notLive")}</Notice>}
      {status === "failed" && error && (
        <Notice>
          <ErrorText error={error} />
        </Notice>
      )}
      {!plan && !isOver(status) && <Spinner label={t("goal.beingPlanned")} />}
      {status === "succeeded" && <Result goal={goal} onCitation={onCitation} />}
      {plan && isWaiting && !isEditing && <Decide key={id} goal={goal} draft={draft} />}
      {plan && isEditing && <PlanEditor goal={goal} draft={draft} onClose={close} />}
      {plan && !isEditing && <Plan goal={goal} onCitation={onCitation} />}
    </>
  );
}

/** What is shown beside the goal: the document, or the measured value, that a step rests on. */
function Source({ citation, onClose }: { citation: Citation; onClose: () => void }) {
  const location = useMemo(() => (citation.kind === "reading" ? undefined : citationLocation(citation)), [citation]);
  if (citation.kind === "reading") {
    return (
      <Suspense>
        <TagPanel tag={citation.tag} onClose={onClose} />
      </Suspense>
    );
  }
  return location ? <DocumentPanel title={citation.doc} location={location} onClose={onClose} /> : null;
}

/** One goal, live: its plan, who works on it, and what came out. */
export function GoalPage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const { goal, isLost } = useGoal(id);
  const [citation, setCitation] = useState<Citation>();
  const open = useCallback((one: Citation) => setCitation(one), []);
  return (
    <div className="flex h-full min-h-0 print-flow">
      <div className="h-full min-w-0 flex-1 print-flow">
        <Page title={t("goal.one")}>
          <Link to="/goals" className={cn(buttonVariants(), "no-print self-start")}>
            {t("goal.backToList")}
          </Link>
          {goal.isPending && <Spinner label={t("loading")} />}
          {isMissing(goal.error) && !goal.data && <Notice tone="warning">{t("goal.missing")}</Notice>}
          {goal.isError && !isMissing(goal.error) && (
            <LoadError error={goal.error} retry={() => void goal.refetch()} />
          )}
          {goal.data && <OneGoal key={id} goal={goal.data} isLost={isLost} onCitation={open} />}
        </Page>
      </div>
      {citation && <Source citation={citation} onClose={() => setCitation(undefined)} />}
    </div>
  );
}
