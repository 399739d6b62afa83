import type { components } from "@/api/schema";

export type Sums = components["schemas"]["UsageSums"];
export const MEASURES = ["tokens", "calls", "cost", "errors"] as const;
export type Measure = (typeof MEASURES)[number];

export function measured(sums: Sums, measure: Measure): number {
  return measure === "tokens" ? sums.input_tokens + sums.output_tokens : sums[measure];
}

export interface Column {
  day: string;
  value: number;
}

/** The values of a chart by day; days without calls are 0. */
export function columns(groups: readonly (Sums & { key?: string | null })[], days: readonly string[], measure: Measure): Column[] {
  // A key may be a day, or its first moment.
  const byDay = new Map(groups.map((group) => [group.key?.slice(0, 10), measured(group, measure)]));
  return days.map((day) => ({ day, value: byDay.get(day) ?? 0 }));
}

/** The smallest of 1, 2, 5, 10, 20 … that is not below the value: the top of an axis. */
export function axisTop(highest: number): number {
  if (highest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= highest) ?? highest;
}
