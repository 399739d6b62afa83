// The tags that a plant system offers, beside those that its connector has.

import type { ConnectorTag, OfferedTag } from "@/api/plant";

/** Whether a tag can be added: `known` has its address, `taken` its name at another address. */
export type OfferState = "new" | "known" | "taken";

/** Finds out which of the offered tags can be added. */
export function offerStates(offered: readonly OfferedTag[], tags: readonly ConnectorTag[]): OfferState[] {
  const addresses = new Set(tags.map(({ address }) => address));
  const names = new Set(tags.map(({ tag }) => tag));
  return offered.map(({ tag, address }) => {
    if (addresses.has(address)) return "known";
    if (names.has(tag)) return "taken";
    // Of several that are offered with one name, the first one has it.
    names.add(tag);
    return "new";
  });
}

/** Whether each of the words is somewhere in the tag, in capital letters or small ones. */
export function matches({ tag, address, description }: OfferedTag, words: string): boolean {
  const text = [tag, address, description].join("\n").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

const COLUMNS = ["tag", "address", "unit", "description", "data_type"] as const;

/** A cell of a CSV file, in quotation marks where it needs them. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The tags as a CSV file that the platform imports. */
export function csvOf(tags: readonly OfferedTag[]): string {
  const lines = tags.map((tag) => COLUMNS.map((name) => cell(tag[name] ?? "")).join(","));
  return [COLUMNS.join(","), ...lines, ""].join("\n");
}
