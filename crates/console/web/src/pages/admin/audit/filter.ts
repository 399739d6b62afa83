import type { paths } from "@/api/schema";

type Query = NonNullable<paths["/v1/audit"]["get"]["parameters"]["query"]>;

export const FILTERS = [
  "event_type",
  "user_id",
  "resource_id",
  "result_status",
  "from",
  "to",
  "correlation_id",
  "conversation_id",
  "session_id",
  "request_id",
] as const;
export const RESULTS = ["success", "denied", "error", "cancelled", "unknown", "pending"] as const;

export type FilterName = (typeof FILTERS)[number];
/** The filter as it is in the address; `from` and `to` are days, in the time of this device. */
export type Filter = Partial<Record<FilterName, string>>;

export function filterOf(parameters: URLSearchParams): Filter {
  const entries = FILTERS.map((name) => [name, parameters.get(name) ?? ""] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}

/** Midnight of a day, some days later, as the API takes it. */
function midnight(day: string, daysLater: number): string | undefined {
  const [year = NaN, month = NaN, date = NaN] = day.split("-").map(Number);
  const moment = new Date(year, month - 1, date + daysLater);
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}

/** The filter as the API takes it. The day in `to` is included. */
export function queryOf({ from, to, ...rest }: Filter): Query {
  const query = Object.fromEntries(Object.entries(rest).filter(([, value]) => value.trim() !== "")) as Query;
  if (from) query.from = midnight(from, 0);
  if (to) query.to = midnight(to, 1);
  return query;
}
