// A plan as a graph: which steps can run at the same time, and what each of them waits for.

/** As much of a step as the graph needs. */
export interface Node {
  id: string;
  depends_on: readonly string[];
}

/** Where a step stands in the graph, from 0. */
export interface Place {
  level: number;
  row: number;
}

/** The level of each step: one more than the highest of those that it depends on. Unknown steps count as none. */
export function levelsById(nodes: readonly Node[]): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const levels = new Map<string, number>();
  const open = new Set<string>();
  const visit = (node: Node): number => {
    const known = levels.get(node.id);
    if (known !== undefined) return known;
    // A circle has no levels; where it closes, the dependency is passed over.
    if (open.has(node.id)) return -1;
    open.add(node.id);
    const before = node.depends_on.flatMap((id) => byId.get(id) ?? []).map(visit);
    open.delete(node.id);
    const level = Math.max(-1, ...before) + 1;
    levels.set(node.id, level);
    return level;
  };
  for (const node of nodes) visit(node);
  return levels;
}

/** The steps by level; within a level they are in the order of the plan. */
export function levels<T extends Node>(nodes: readonly T[]): T[][] {
  const byId = levelsById(nodes);
  const result: T[][] = [];
  for (const node of nodes) (result[byId.get(node.id) ?? 0] ??= []).push(node);
  return result;
}

/** The place of each step, if each level is a column. */
export function places(nodes: readonly Node[]): Map<string, Place> {
  const all = new Map<string, Place>();
  levels(nodes).forEach((column, level) => column.forEach(({ id }, row) => all.set(id, { level, row })));
  return all;
}

/** The steps that `node` waits for directly, without those for which another one of them waits anyway. */
export function nearest(nodes: readonly Node[], node: Node): string[] {
  const { depends_on } = node;
  return depends_on.filter((id) => !depends_on.some((other) => other !== id && waitsFor(nodes, other, id)));
}

/** The steps in an order in which each one comes after those that it depends on. */
export function inOrder<T extends Node>(nodes: readonly T[]): T[] {
  return levels(nodes).flat();
}

/** The steps that no other step depends on: their outputs are the result. */
export function leaves<T extends Node>(nodes: readonly T[]): T[] {
  const needed = new Set(nodes.flatMap(({ depends_on }) => depends_on));
  return nodes.filter(({ id }) => !needed.has(id));
}

/** Whether `id` waits for `other`, directly or through others. */
export function waitsFor(nodes: readonly Node[], id: string, other: string): boolean {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const seen = new Set<string>();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const before of byId.get(next)?.depends_on ?? []) {
      if (before === other) return true;
      if (!seen.has(before)) waiting.push(before);
      seen.add(before);
    }
  }
  return false;
}
