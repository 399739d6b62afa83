// What differs between two JSON values, member by member.

import type { JsonValue } from "./merge-patch";

export type DifferenceKind = "added" | "removed" | "changed" | "same";

export interface Difference {
  /** Names of the members that lead there, joined by dots; empty for the whole value. */
  path: string;
  before?: JsonValue;
  after?: JsonValue;
  kind: DifferenceKind;
}

function leaves(value: JsonValue | undefined, path: string, found: Map<string, JsonValue>) {
  if (value === undefined) return;
  const members = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (members.length === 0) {
    if (path !== "" || typeof value !== "object") found.set(path, value);
    return;
  }
  for (const [name, member] of members) leaves(member, path === "" ? name : `${path}.${name}`, found);
}

function kindOf(before: JsonValue | undefined, after: JsonValue | undefined): DifferenceKind {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  return JSON.stringify(before) === JSON.stringify(after) ? "same" : "changed";
}

/** All members of two values, with those that only one of them has. Null, as a whole, has none. */
export function differences(before: JsonValue | undefined, after: JsonValue | undefined): Difference[] {
  const [old, next] = [new Map<string, JsonValue>(), new Map<string, JsonValue>()];
  leaves(before, "", old);
  leaves(after, "", next);
  const paths = [...next.keys(), ...[...old.keys()].filter((path) => !next.has(path))];
  return paths.map((path) => ({
    path,
    before: old.get(path),
    after: next.get(path),
    kind: kindOf(old.get(path), next.get(path)),
  }));
}
