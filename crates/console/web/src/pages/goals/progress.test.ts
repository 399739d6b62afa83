import { describe, expect, it } from "vitest";
import type { GoalEvent } from "@/api/goals";
import type { Goal, Step, StepStatus } from "@/api/types";
import { advance, countDone } from "./progress";

const step = (id: string, status: StepStatus, attempts: number): Step => ({
  id,
  title: id,
  agent: "calculator",
  instruction: "2 + 2",
  depends_on: [],
  status,
  attempts,
  citations: [],
  approvals: [],
  classification: "public",
});

const goal = (status: Goal["status"], ...steps: Step[]): Goal => ({
  id: "g",
  objective: "Add.",
  approval: "none",
  status,
  plan: { version: 1, steps },
  usage: { input_tokens: 0, output_tokens: 0 },
  created_at: "2030-01-01T00:00:00Z",
  updated_at: "2030-01-01T00:00:00Z",
});

const started = (attempt: number): GoalEvent => ({
  name: "step.started",
  data: { step_id: "a", agent: "calculator", title: "a", attempt },
});
const LATE = { code: "timeout", detail: "Late." };
const finished = (status: StepStatus, attempt?: number): GoalEvent => ({
  name: "step.finished",
  data: { step_id: "a", status, attempt, error: status === "failed" ? LATE : undefined },
});
const status = (name: Goal["status"]): GoalEvent => ({ name: "goal.status", data: { status: name } });
const play = (from: Goal, ...events: GoalEvent[]) => events.reduce(advance, from);
const first = (of: Goal) => of.plan?.steps[0];

describe("advance", () => {
  it("follows a step from its start to its end", () => {
    const running = play(goal("running", step("a", "pending", 0)), started(1));
    expect(first(running)).toMatchObject({ status: "running", attempts: 1 });
    expect(first(play(running, finished("waiting_approval", 1)))).toMatchObject({ status: "waiting_approval" });
    expect(first(play(running, finished("succeeded", 1)))).toMatchObject({ status: "succeeded", error: null });
    expect(first(play(running, finished("failed", 1)))).toMatchObject({ status: "failed", error: LATE });
  });

  it("is not taken back by the past, which a stream begins with", () => {
    const again = goal("running", step("a", "running", 2));
    expect(play(again, started(1), finished("failed", 1), status("failed"), started(2))).toBe(again);
    const done = goal("succeeded", step("a", "succeeded", 1));
    expect(play(done, started(1), finished("failed", 1), status("running"))).toBe(done);
  });

  it("does not end a step whose try is not known", () => {
    const again = goal("running", step("a", "running", 2));
    expect(play(again, finished("failed"))).toBe(again);
  });

  it("goes on to the next state, but leaves the end to what is loaded", () => {
    const planning = goal("planning");
    expect(play(planning, status("awaiting_approval")).status).toBe("awaiting_approval");
    expect(play(planning, status("succeeded")).status).toBe("planning");
  });

  it("passes over steps that the plan does not have, and events of later versions", () => {
    const other = goal("running", step("b", "pending", 0));
    expect(play(other, started(1), { name: "plan.changed", data: { version: 2 } })).toBe(other);
  });
});

describe("countDone", () => {
  it("counts what ended well", () => {
    const running = goal("running", step("a", "succeeded", 1), step("b", "failed", 1));
    expect(countDone(running)).toEqual({ done: 1, count: 2 });
    expect(countDone({ ...goal("planning"), plan: null })).toEqual({ done: 0, count: 0 });
  });
});
