// Periods of the usage report, in days of UTC as budgets are.

export const PERIODS = ["month", "lastMonth", "week", "quarter"] as const;
export type Period = (typeof PERIODS)[number];

export interface Days {
  from: string;
  /** Included. */
  to: string;
}

const DAY_MS = 86_400_000;

function day(moment: number): string {
  return new Date(moment).toISOString().slice(0, 10);
}

export function daysOf(period: Period, now: number): Days {
  const today = new Date(now);
  const monthStart = (offset: number) => Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + offset, 1);
  switch (period) {
    case "month":
      return { from: day(monthStart(0)), to: day(now) };
    case "lastMonth":
      return { from: day(monthStart(-1)), to: day(monthStart(0) - DAY_MS) };
    case "week":
      return { from: day(now - 6 * DAY_MS), to: day(now) };
    case "quarter":
      return { from: day(now - 89 * DAY_MS), to: day(now) };
  }
}

/** Every day of a period, also those without a call. */
export function eachDay({ from, to }: Days): string[] {
  const days = [];
  for (let moment = Date.parse(from); moment <= Date.parse(to); moment += DAY_MS) days.push(day(moment));
  return days;
}
