import type { SettingsView } from "./fields";

/** One setting that a version changed; `undefined` stands for one that is not set. */
export interface Difference {
  /** Names from the outside in, joined by dots: `quotas.documents`. */
  name: string;
  before: string | undefined;
  after: string | undefined;
}

function flatten(value: unknown, name: string, into: Map<string, string>) {
  if (value === null || value === undefined) return;
  if (typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, name ? `${name}.${key}` : key, into);
  } else {
    into.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
}

/** What is different between two versions, in the order of names. */
export function differences(before: SettingsView, after: SettingsView): Difference[] {
  const [old, now] = [new Map<string, string>(), new Map<string, string>()];
  flatten(before, "", old);
  flatten(after, "", now);
  const names = [...new Set([...old.keys(), ...now.keys()])].toSorted();
  return names
    .filter((name) => old.get(name) !== now.get(name))
    .map((name) => ({ name, before: old.get(name), after: now.get(name) }));
}
