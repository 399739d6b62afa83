// What is normal about a value of a plant system, and what is not.

import type { HistoryPoint, Quality, Reading, TagLimits, TagValue } from "@/api/plant";

export type Tone = "plain" | "warning" | "alarm";

/** Only what is abnormal has a colour (ISA-101). */
export const QUALITY_TONES: Record<Quality, Tone> = { good: "plain", uncertain: "warning", bad: "alarm" };

export type LimitState = "normal" | "low" | "high" | "alarmLow" | "alarmHigh";

/** Where a value stands among the limits of its tag. */
export function limitState(value: TagValue | null, limits: TagLimits | undefined): LimitState {
  if (typeof value !== "number" || !limits) return "normal";
  const { normal_low, normal_high, alarm_low, alarm_high } = limits;
  if (isNumber(alarm_low) && value <= alarm_low) return "alarmLow";
  if (isNumber(alarm_high) && value >= alarm_high) return "alarmHigh";
  if (isNumber(normal_low) && value < normal_low) return "low";
  if (isNumber(normal_high) && value > normal_high) return "high";
  return "normal";
}

export const LIMIT_TONES: Record<LimitState, Tone> = {
  normal: "plain",
  low: "warning",
  high: "warning",
  alarmLow: "alarm",
  alarmHigh: "alarm",
};

function isNumber(value: number | null | undefined): value is number {
  return typeof value === "number";
}

/** Whether somebody has to look at it: by its quality, its age or its value. */
export function isAbnormal({ value, quality, stale, limits }: Reading): boolean {
  return quality !== "good" || stale || limitState(value, limits) !== "normal";
}

/** Lists in parts that one request may ask for. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
}

export interface Line {
  /** Of an SVG polyline, in a box of 100 × 30. */
  points: string;
}

export interface Trend {
  lines: Line[];
  lowest: number;
  highest: number;
}

export const TREND_WIDTH = 100;
export const TREND_HEIGHT = 30;

/** Whether a point shows what was measured: a bad value is not drawn. */
function isShown({ value, quality }: HistoryPoint): boolean {
  return typeof value === "number" && quality !== "bad";
}

/** Lines through the values of a period, with gaps where nothing can be relied on; `undefined` without any number. */
export function trend(points: readonly HistoryPoint[], from: number, to: number): Trend | undefined {
  const values = points.filter(isShown).map(({ value }) => value as number);
  if (values.length === 0) return undefined;
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const span = highest - lowest || 1;
  const place = ({ at, value }: HistoryPoint) => {
    const x = ((Date.parse(at) - from) / (to - from)) * TREND_WIDTH;
    const y = highest === lowest ? TREND_HEIGHT / 2 : TREND_HEIGHT - (((value as number) - lowest) / span) * TREND_HEIGHT;
    return `${x.toFixed(2)},${y.toFixed(2)}`;
  };
  const lines: string[][] = [[]];
  for (const point of points) {
    if (isShown(point)) lines.at(-1)?.push(place(point));
    else lines.push([]);
  }
  return { lines: lines.filter((line) => line.length > 0).map((line) => ({ points: line.join(" ") })), lowest, highest };
}

export interface LimitLine {
  name: keyof TagLimits;
  y: number;
}

/** Heights of the limits that lie within what is drawn. */
export function limitLines(limits: TagLimits | undefined, { lowest, highest }: Trend): LimitLine[] {
  const span = highest - lowest;
  if (!limits || span === 0) return [];
  const names = ["normal_low", "normal_high", "alarm_low", "alarm_high"] as const;
  return names.flatMap((name) => {
    const limit = limits[name];
    if (!isNumber(limit) || limit < lowest || limit > highest) return [];
    return [{ name, y: TREND_HEIGHT - ((limit - lowest) / span) * TREND_HEIGHT }];
  });
}
