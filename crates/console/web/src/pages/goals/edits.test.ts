import { describe, expect, it } from "vitest";
import {
  type DraftStep,
  MAX_STEPS,
  addStep,
  changeStep,
  freshId,
  isComplete,
  moveStep,
  possibleDependencies,
  removeStep,
  toSend,
  toggleDependency,
} from "./edits";

const step = (id: string, ...depends_on: string[]): DraftStep => ({
  id,
  title: `Title of ${id}`,
  agent: "document_analyst",
  instruction: "Look.",
  depends_on,
});
const PLAN = [step("a"), step("b", "a"), step("c", "b")];
const ids = (steps: readonly { id: string }[]) => steps.map(({ id }) => id);

describe("an edit of a plan", () => {
  it("adds a step under an id of its own, up to the limit", () => {
    expect(freshId([step("step_2"), step("x")])).toBe("step_3");
    expect(freshId([step("x"), step("step_3")])).toBe("step_4");
    expect(addStep(PLAN, "calculator").at(-1)).toMatchObject({ id: "step_4", agent: "calculator", depends_on: [] });
    const full = Array.from({ length: MAX_STEPS }, (_, index) => step(`s${index}`));
    expect(addStep(full, "calculator")).toHaveLength(MAX_STEPS);
  });

  it("keeps the order of the others when a step is removed", () => {
    expect(removeStep(PLAN, "b")).toEqual([step("a"), step("c", "a")]);
    expect(removeStep(PLAN, "a")).toEqual([step("b"), step("c", "b")]);
    expect(removeStep([step("a"), step("b"), step("c", "a", "b")], "a")[1]?.depends_on).toEqual(["b"]);
  });

  it("moves a step, but not out of the plan", () => {
    expect(ids(moveStep(PLAN, "c", -1))).toEqual(["a", "c", "b"]);
    expect(ids(moveStep(PLAN, "a", -1))).toEqual(["a", "b", "c"]);
    expect(ids(moveStep(PLAN, "c", 1))).toEqual(["a", "b", "c"]);
  });

  it("offers no dependency that closes a circle", () => {
    expect(ids(possibleDependencies(PLAN, "a"))).toEqual([]);
    expect(ids(possibleDependencies(PLAN, "c"))).toEqual(["a", "b"]);
    expect(toggleDependency(PLAN, "c", "a", true)[2]?.depends_on).toEqual(["b", "a"]);
    expect(toggleDependency(PLAN, "c", "b", false)[2]?.depends_on).toEqual([]);
  });

  it("is complete when each step says what to do", () => {
    expect(isComplete(PLAN)).toBe(true);
    expect(isComplete([])).toBe(false);
    expect(isComplete(changeStep(PLAN, "b", { instruction: "  " }))).toBe(false);
    expect(toSend(changeStep(PLAN, "a", { title: " Read " }))[0]?.title).toBe("Read");
  });
});
