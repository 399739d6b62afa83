// The settings of a plant as the fields of a form, and back.

import type { components } from "@/api/schema";
import type { Role } from "@/api/types";
import type { JsonObject } from "@/lib/merge-patch";

export type SettingsView = components["schemas"]["SettingsView"];

export const ROLES: readonly Role[] = ["viewer", "user", "admin"];
export const PII_PATTERNS = ["employee_id", "email", "phone", "ip_address", "equipment_serial"] as const;
export const QUOTAS = [
  "documents",
  "bytes",
  "requests_per_day",
  "tokens_per_day",
  "user_tokens_per_day",
  "cost_per_month",
  "user_cost_per_month",
  "soft_percent",
] as const;
/** Settings that are one value; an empty field stands for the platform's default. */
const SINGLE = ["default_model", "model_classification", "cloud_classification", "language", "instructions"] as const;

export type Quota = (typeof QUOTAS)[number];
export type PiiPattern = (typeof PII_PATTERNS)[number];
export type PiiAction = "redact" | "warn" | "block";

interface RateFields {
  perMinute: string;
  perHour: string;
}

export interface SettingsFields {
  single: Record<(typeof SINGLE)[number] | "access_token_max_days", string>;
  clearance: { viewer: string; user: string };
  roleMappings: { value: string; role: Role }[];
  pii: { enabled: boolean; action: PiiAction; patterns: PiiPattern[]; custom: { name: string; pattern: string }[] };
  goals: { requireApproval: boolean; maxParallelSteps: string };
  teams: { hostGuests: boolean; joinOthers: boolean; guestClassification: string; deleteAfterDays: string };
  rateLimits: Record<Role, RateFields>;
  quotas: Record<Quota, string>;
}

interface PiiView {
  enabled?: boolean;
  action?: PiiAction;
  patterns?: PiiPattern[];
  custom?: { name: string; pattern: string }[];
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function member(value: unknown, name: string): unknown {
  return (value as Record<string, unknown> | null | undefined)?.[name];
}

function rateFields(view: SettingsView, role: Role): RateFields {
  const tier = member(view.rate_limits, role);
  return { perMinute: text(member(tier, "per_minute")), perHour: text(member(tier, "per_hour")) };
}

export function fieldsOf(view: SettingsView): SettingsFields {
  const pii = view.pii_sanitization as PiiView;
  const quotas = QUOTAS.map((name) => [name, text(member(view.quotas, name))]);
  return {
    single: {
      default_model: text(view.default_model),
      model_classification: text(view.model_classification),
      cloud_classification: text(view.cloud_classification),
      language: text(view.language),
      instructions: text(view.instructions),
      access_token_max_days: text(view.access_token_max_days),
    },
    clearance: { viewer: text(member(view.clearance, "viewer")), user: text(member(view.clearance, "user")) },
    roleMappings: Object.entries(view.role_mappings as Record<string, Role>).map(([value, role]) => ({ value, role })),
    pii: {
      enabled: pii.enabled ?? false,
      action: pii.action ?? "redact",
      // Unless some are chosen, all apply.
      patterns: pii.patterns ?? [...PII_PATTERNS],
      custom: pii.custom ?? [],
    },
    goals: {
      requireApproval: member(view.goals, "require_approval") === true,
      maxParallelSteps: text(member(view.goals, "max_parallel_steps")),
    },
    teams: {
      hostGuests: member(view.teams, "host_guests") === true,
      joinOthers: member(view.teams, "join_others") === true,
      guestClassification: text(member(view.teams, "guest_classification")),
      deleteAfterDays: text(member(view.teams, "delete_after_days")),
    },
    rateLimits: { viewer: rateFields(view, "viewer"), user: rateFields(view, "user"), admin: rateFields(view, "admin") },
    quotas: Object.fromEntries(quotas) as Record<Quota, string>,
  };
}

/** Members whose field is not empty. */
function given(fields: Record<string, string>, parse: (value: string) => string | number = (value) => value): JsonObject {
  const entries = Object.entries(fields).filter(([, value]) => value.trim() !== "");
  return Object.fromEntries(entries.map(([name, value]) => [name, parse(value)]));
}

/** Members that are on. Those that are off are left to the platform, for which off is the default. */
function permitted(fields: Record<string, boolean>): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, isOn]) => isOn));
}

/** The settings that the fields say, without what is left to the platform. Patches are made of two of these. */
export function settingsOf(fields: SettingsFields): JsonObject {
  const { single, clearance, roleMappings, pii, goals, teams, rateLimits, quotas } = fields;
  const { access_token_max_days: days, ...texts } = single;
  const rates: JsonObject = {};
  for (const role of ROLES) {
    const { perMinute, perHour } = rateLimits[role];
    // A tier is replaced whole, hence the list: a patch never has half of it.
    if (perMinute || perHour) rates[role] = [Number(perMinute), Number(perHour)];
  }
  const isAllPatterns = PII_PATTERNS.every((pattern) => pii.patterns.includes(pattern));
  return {
    ...given(texts),
    ...given({ access_token_max_days: days }, Number),
    clearance: given(clearance),
    role_mappings: Object.fromEntries(roleMappings.filter(({ value }) => value.trim()).map(({ value, role }) => [value.trim(), role])),
    pii_sanitization: {
      enabled: pii.enabled,
      action: pii.action,
      ...(isAllPatterns ? {} : { patterns: PII_PATTERNS.filter((pattern) => pii.patterns.includes(pattern)) }),
      custom: pii.custom.filter(({ name, pattern }) => name.trim() || pattern.trim()),
    },
    goals: {
      ...permitted({ require_approval: goals.requireApproval }),
      ...given({ max_parallel_steps: goals.maxParallelSteps }, Number),
    },
    teams: {
      ...permitted({ host_guests: teams.hostGuests, join_others: teams.joinOthers }),
      ...given({ guest_classification: teams.guestClassification }),
      ...given({ delete_after_days: teams.deleteAfterDays }, Number),
    },
    rate_limits: rates,
    quotas: given(quotas, Number),
  };
}

/** Turns the tiers of a patch back to what the API takes. */
export function toChange(patch: JsonObject): JsonObject {
  const rates = patch.rate_limits as JsonObject | undefined;
  if (!rates) return patch;
  const tiers = Object.entries(rates).map(([role, tier]) => {
    const [perMinute, perHour] = (tier ?? []) as number[];
    return [role, tier === null ? null : { per_minute: perMinute ?? 0, per_hour: perHour ?? 0 }] as const;
  });
  return { ...patch, rate_limits: Object.fromEntries(tiers) };
}

/** Whether two rows of the mappings have the same value, of which one would be lost. */
export function hasDuplicates(rows: SettingsFields["roleMappings"]): boolean {
  const values = rows.map(({ value }) => value.trim()).filter(Boolean);
  return new Set(values).size < values.length;
}
