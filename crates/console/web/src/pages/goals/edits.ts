// Changes of a plan that awaits approval, before they are saved.

import type { PlannedStep, Step } from "@/api/types";
import { waitsFor } from "./levels";

export const MAX_STEPS = 20;
export const MAX_TITLE = 200;
export const MAX_INSTRUCTION = 4_000;

/** A step as the editor has it: always with its dependencies. */
export type DraftStep = PlannedStep & { depends_on: string[] };

/** As much of the steps as can be changed. */
export function draftOf(steps: readonly Step[]): DraftStep[] {
  return steps.map(({ id, title, agent, instruction, depends_on }) => ({ id, title, agent, instruction, depends_on }));
}

/** An id that no step of the plan has. */
export function freshId(steps: readonly DraftStep[]): string {
  const taken = new Set(steps.map(({ id }) => id));
  let number = steps.length + 1;
  while (taken.has(`step_${number}`)) number += 1;
  return `step_${number}`;
}

export function addStep(steps: readonly DraftStep[], agent: string): DraftStep[] {
  if (steps.length >= MAX_STEPS) return [...steps];
  return [...steps, { id: freshId(steps), title: "", agent, instruction: "", depends_on: [] }];
}

type StepChange = Partial<Omit<DraftStep, "id">>;

export function changeStep(steps: readonly DraftStep[], id: string, change: StepChange): DraftStep[] {
  return steps.map((step) => (step.id === id ? { ...step, ...change } : step));
}

/** Removes a step. Those that waited for it wait for what it waited for, so that their order stays. */
export function removeStep(steps: readonly DraftStep[], id: string): DraftStep[] {
  const removed = steps.find((step) => step.id === id);
  const rest = steps.filter((step) => step.id !== id);
  return rest.map((step) => {
    if (!step.depends_on.includes(id)) return step;
    const inherited = [...step.depends_on.filter((one) => one !== id), ...(removed?.depends_on ?? [])];
    return { ...step, depends_on: [...new Set(inherited)].filter((one) => one !== step.id) };
  });
}

/** Moves a step by one place: `by` is -1 or 1. */
export function moveStep(steps: readonly DraftStep[], id: string, by: -1 | 1): DraftStep[] {
  const from = steps.findIndex((step) => step.id === id);
  const to = from + by;
  const [one, other] = [steps[from], steps[to]];
  if (!one || !other) return [...steps];
  return steps.map((step, index) => (index === from ? other : index === to ? one : step));
}

/** The steps that `id` may wait for: none that waits for it already, as that would be a circle. */
export function possibleDependencies(steps: readonly DraftStep[], id: string): DraftStep[] {
  return steps.filter((step) => step.id !== id && !waitsFor(steps, step.id, id));
}

export function toggleDependency(steps: readonly DraftStep[], id: string, other: string, isOn: boolean): DraftStep[] {
  const step = steps.find((one) => one.id === id);
  if (!step) return [...steps];
  const rest = step.depends_on.filter((one) => one !== other);
  return changeStep(steps, id, { depends_on: isOn ? [...rest, other] : rest });
}

/** What is sent: texts without the space around them. */
export function toSend(steps: readonly DraftStep[]): PlannedStep[] {
  return steps.map((step) => ({ ...step, title: step.title.trim(), instruction: step.instruction.trim() }));
}

/** Whether every step says what to do and by whom. */
export function isComplete(steps: readonly DraftStep[]): boolean {
  return steps.length > 0 && toSend(steps).every(({ title, instruction, agent }) => title && instruction && agent);
}

export function isChanged(steps: readonly DraftStep[], original: readonly DraftStep[]): boolean {
  return JSON.stringify(steps) !== JSON.stringify(original);
}
