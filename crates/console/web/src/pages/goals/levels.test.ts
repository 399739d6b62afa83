import { describe, expect, it } from "vitest";
import { inOrder, leaves, levels, nearest, places, waitsFor } from "./levels";

const node = (id: string, ...depends_on: string[]) => ({ id, depends_on });
const DIAMOND = [node("d", "b", "c"), node("b", "a"), node("c", "a"), node("a")];

const ids = (nodes: readonly { id: string }[]) => nodes.map(({ id }) => id);

describe("a plan as a graph", () => {
  it("has a level for all that can run at the same time", () => {
    expect(levels(DIAMOND).map(ids)).toEqual([["a"], ["b", "c"], ["d"]]);
    expect(ids(inOrder(DIAMOND))).toEqual(["a", "b", "c", "d"]);
    expect(places(DIAMOND).get("c")).toEqual({ level: 1, row: 1 });
  });

  it("places a step behind the last of those that it waits for", () => {
    expect(levels([node("a"), node("b", "a"), node("c", "a", "b")]).map(ids)).toEqual([["a"], ["b"], ["c"]]);
  });

  it("is drawn even if it is no proper one", () => {
    expect(levels([node("a", "gone"), node("b", "b")]).flat()).toHaveLength(2);
    expect(levels([node("a", "c"), node("b", "a"), node("c", "b")]).flat()).toHaveLength(3);
    expect(levels([])).toEqual([]);
  });

  it("has leaves, whose outputs are the result", () => {
    expect(ids(leaves(DIAMOND))).toEqual(["d"]);
    expect(ids(leaves([node("a"), node("b")]))).toEqual(["a", "b"]);
  });

  it("is drawn without lines that follow from others", () => {
    expect(nearest(DIAMOND, node("e", "a", "d", "b"))).toEqual(["d"]);
    expect(nearest(DIAMOND, node("e", "b", "c"))).toEqual(["b", "c"]);
  });

  it("knows what waits for what, also through others", () => {
    expect(waitsFor(DIAMOND, "d", "a")).toBe(true);
    expect(waitsFor(DIAMOND, "a", "d")).toBe(false);
    expect(waitsFor([node("a", "b"), node("b", "a")], "a", "c")).toBe(false);
  });
});
