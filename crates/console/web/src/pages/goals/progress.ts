// A goal as its events change it. Events tell states alone: what a step found out is loaded after them.

import { type GoalEvent, isOver } from "@/api/goals";
import type { Goal, GoalStatus, Step, StepStatus } from "@/api/types";

/** How far a step has come within a try. */
const STEP_ORDER: Record<StepStatus, number> = {
  pending: 0,
  running: 1,
  waiting_approval: 2,
  succeeded: 3,
  failed: 3,
  skipped: 3,
};

/** What a goal goes through before it ends. */
const BEGINNING: readonly GoalStatus[] = ["planning", "awaiting_approval", "running"];

function changeStep(goal: Goal, id: string, change: (step: Step) => Step): Goal {
  if (!goal.plan) return goal;
  const steps = goal.plan.steps.map((step) => (step.id === id ? change(step) : step));
  const isSame = steps.every((step, index) => step === goal.plan?.steps[index]);
  return isSame ? goal : { ...goal, plan: { ...goal.plan, steps } };
}

/**
 * The goal after one more event; the same object if the event tells nothing new. A stream begins with the past, which
 * may have ended already once before a step was tried again: so an event never takes the goal back, and never ends it.
 */
export function advance(goal: Goal, { name, data }: GoalEvent): Goal {
  switch (name) {
    case "goal.status": {
      const isLater = BEGINNING.indexOf(data.status) > BEGINNING.indexOf(goal.status) && !isOver(goal.status);
      return isLater ? { ...goal, status: data.status } : goal;
    }
    case "step.started":
      return changeStep(goal, data.step_id, (step) => {
        const isFirst = data.attempt === step.attempts && step.status === "pending";
        if (isOver(goal.status) || (data.attempt <= step.attempts && !isFirst)) return step;
        return { ...step, status: "running", attempts: data.attempt, error: null };
      });
    case "step.finished":
      return changeStep(goal, data.step_id, (step) => {
        const isOfThisTry = data.attempt === step.attempts && STEP_ORDER[data.status] > STEP_ORDER[step.status];
        return isOfThisTry ? { ...step, status: data.status, error: data.error ?? null } : step;
      });
    default:
      // A new plan is loaded.
      return goal;
  }
}

/** How many steps have ended well, and how many there are. */
export function countDone({ plan }: Goal): { done: number; count: number } {
  const steps = plan?.steps ?? [];
  return { done: steps.filter(({ status }) => status === "succeeded").length, count: steps.length };
}
