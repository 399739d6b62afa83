// Lengths of time as people say them, and the time that is left until a moment.

import { useEffect, useState } from "react";

const UNITS = [
  { unit: "day", seconds: 86_400 },
  { unit: "hour", seconds: 3_600 },
  { unit: "minute", seconds: 60 },
  { unit: "second", seconds: 1 },
] as const;

export interface DurationPart {
  unit: (typeof UNITS)[number]["unit"];
  value: number;
}

/** The two largest units of a length of time, such as 3 hours and 12 minutes; seconds stand alone below a minute. */
export function durationParts(seconds: number): DurationPart[] {
  const whole = Math.max(Math.floor(seconds), 0);
  const first = UNITS.findIndex((one) => whole >= one.seconds);
  if (first < 0) return [{ unit: "second", value: 0 }];
  const parts: DurationPart[] = [];
  let rest = whole;
  for (const { unit, seconds: length } of UNITS.slice(first, first + 2)) {
    parts.push({ unit, value: Math.floor(rest / length) });
    rest %= length;
  }
  return parts.filter(({ value }) => value > 0);
}

/** A length of time in words of a language, such as `3 hr 12 min`. */
export function formatDuration(language: string, seconds: number): string {
  const format = ({ unit, value }: DurationPart) =>
    new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value);
  return durationParts(seconds).map(format).join(" ");
}

/** Whole seconds until a moment; 0 once it has passed. */
export function secondsUntil(moment: string, now: number): number {
  return Math.max(Math.ceil((Date.parse(moment) - now) / 1_000), 0);
}

/** When a countdown changes next, in milliseconds: each second in the last two minutes, otherwise each half a minute. */
export function tickAfter(seconds: number): number | undefined {
  if (seconds <= 0) return undefined;
  return seconds <= 120 ? 1_000 : Math.min(30_000, (seconds - 120) * 1_000);
}

/** Seconds until a moment, counted down while they are shown. */
export function useSecondsUntil(moment: string): number {
  const [now, setNow] = useState(() => Date.now());
  const seconds = secondsUntil(moment, now);
  useEffect(() => {
    const delay = tickAfter(seconds);
    if (delay === undefined) return;
    const timer = setTimeout(() => setNow(Date.now()), delay);
    return () => clearTimeout(timer);
  }, [seconds, now]);
  return seconds;
}
