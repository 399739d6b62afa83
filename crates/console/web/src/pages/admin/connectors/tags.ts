// The tags of a connector as lines of text, as they are copied from and to a spreadsheet.

import { type ConnectorTag, DATA_TYPES, type DataType } from "@/api/plant";

/** The columns, in their order; those after the address may be missing. */
export const COLUMNS = ["tag", "address", "unit", "description", "equipment", "data_type", "scale"] as const;

/** What separates columns. A spreadsheet copies with tabs, which cannot be typed into a text box. */
const SEPARATOR = " |";
const TAB = "\t";

export function formatTags(tags: readonly ConnectorTag[]): string {
  return tags
    .map((tag) => COLUMNS.map((name) => String(tag[name] ?? "")).join(`${SEPARATOR} `).replace(/[ |]+$/, ""))
    .join("\n");
}

export interface LineError {
  /** From 1. */
  line: number;
  reason: "address" | "dataType" | "scale" | "duplicate";
}

export interface ParsedTags {
  tags: ConnectorTag[];
  errors: LineError[];
}

function isDataType(text: string): text is DataType {
  return (DATA_TYPES as readonly string[]).includes(text);
}

function parseLine(text: string): ConnectorTag | LineError["reason"] {
  const columns = text.split(text.includes(TAB) ? TAB : SEPARATOR).map((part) => part.trim());
  const [tag = "", address = "", unit, description, equipment, dataType = "", scale = ""] = columns;
  if (!tag || !address) return "address";
  if (dataType && !isDataType(dataType)) return "dataType";
  if (scale && !Number.isFinite(Number(scale))) return "scale";
  return {
    tag,
    address,
    ...(unit && { unit }),
    ...(description && { description }),
    ...(equipment && { equipment }),
    ...(dataType && { data_type: dataType as DataType }),
    ...(scale && { scale: Number(scale) }),
  };
}

/** Reads the lines. What the text cannot say (limits) is kept of the tags of the same name before. */
export function parseTags(text: string, before: readonly ConnectorTag[] = []): ParsedTags {
  const limits = new Map(before.map((tag) => [tag.tag, tag.limits]));
  const seen = new Set<string>();
  const parsed: ParsedTags = { tags: [], errors: [] };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (!line.trim()) continue;
    const tag = parseLine(line);
    if (typeof tag === "string") parsed.errors.push({ line: index + 1, reason: tag });
    else if (seen.has(tag.tag)) parsed.errors.push({ line: index + 1, reason: "duplicate" });
    else {
      seen.add(tag.tag);
      const known = limits.get(tag.tag);
      parsed.tags.push(known ? { ...tag, limits: known } : tag);
    }
  }
  return parsed;
}
