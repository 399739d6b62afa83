// Goals, whose generated types are narrowed to what the console knows of citations.

import { api, body, send } from "./client";
import { readToEnd } from "./events";
import type { Goal, GoalStatus, PlannedStep, StepStatus } from "./types";

interface GoalError {
  code: string;
  detail: string;
}

interface StepFinished {
  step_id: string;
  status: StepStatus;
  error?: GoalError;
  /** The try that has ended, if its start was told: the event itself does not say. */
  attempt?: number;
}

export type GoalEvent =
  | { name: "goal.status"; data: { status: GoalStatus; error?: GoalError } }
  | { name: "plan.changed"; data: { version: number } }
  | { name: "step.started"; data: { step_id: string; agent: string; title: string; attempt: number } }
  | { name: "step.finished"; data: StepFinished };

export interface NumberedGoalEvent {
  id: string;
  event: GoalEvent;
}

/** Whether nothing happens any more, unless somebody tries a step again. */
export function isOver(status: GoalStatus): boolean {
  return status === "succeeded" || status === "failed" || status === "cancelled";
}

function isFinal(event: GoalEvent) {
  return event.name === "goal.status" && isOver(event.data.status);
}

/** Adds to the end of a step which try it was. */
async function* withAttempts(events: AsyncGenerator<NumberedGoalEvent>): AsyncGenerator<NumberedGoalEvent> {
  const attempts = new Map<string, number>();
  for await (const { id, event } of events) {
    if (event.name === "step.started") attempts.set(event.data.step_id, event.data.attempt);
    if (event.name === "step.finished") {
      const attempt = attempts.get(event.data.step_id);
      yield { id, event: { name: event.name, data: { ...event.data, attempt } } };
    } else {
      yield { id, event };
    }
  }
}

const path = (id: string) => ({ params: { path: { id } } });

async function one(request: Promise<{ data?: unknown }>): Promise<Goal> {
  return (await body(request)) as Goal;
}

export const goals = {
  list: async (cursor: string | undefined) => {
    const page = await body(api.GET("/v1/goals", { params: { query: { cursor, limit: 30 } } }));
    return page as unknown as Omit<typeof page, "data"> & { data: Goal[] };
  },
  get: (id: string) => one(api.GET("/v1/goals/{id}", path(id))),
  create: (objective: string, approval: Goal["approval"]) =>
    one(api.POST("/v1/goals", { body: { objective, approval } })),
  /** Replaces the steps of the version that was read. */
  edit: (id: string, version: number, steps: PlannedStep[]) =>
    one(api.PATCH("/v1/goals/{id}/plan", { ...path(id), body: { version, steps } })),
  approve: (id: string, version: number) => one(api.POST("/v1/goals/{id}/approve", { ...path(id), body: { version } })),
  cancel: (id: string) => one(api.POST("/v1/goals/{id}/cancel", path(id))),
  retry: (id: string, step: string) =>
    one(api.POST("/v1/goals/{id}/steps/{step}/retry", { params: { path: { id, step } } })),
  /** Yields the events behind `after`: those that came already, then those that come, until the goal is over. */
  follow: (id: string, after: string, signal: AbortSignal): AsyncGenerator<NumberedGoalEvent> => {
    const open = (last: string) => send(`/v1/goals/${id}/events`, { headers: { "last-event-id": last }, signal });
    return withAttempts(readToEnd<GoalEvent>({ after, open, isFinal, signal }));
  },
};
