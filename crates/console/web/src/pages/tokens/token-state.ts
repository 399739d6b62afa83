import type { components } from "@/api/schema";

export type AccessToken = components["schemas"]["AccessToken"];
export type TokenState = "active" | "expiring" | "expired" | "revoked";

/** Somebody should renew a token that expires within this time. */
const EXPIRING_MS = 14 * 24 * 3_600_000;

export function tokenState({ expires_at, revoked_at }: Pick<AccessToken, "expires_at" | "revoked_at">, now: number): TokenState {
  if (revoked_at) return "revoked";
  const remaining = Date.parse(expires_at) - now;
  if (remaining <= 0) return "expired";
  return remaining < EXPIRING_MS ? "expiring" : "active";
}

export function isUsable(state: TokenState) {
  return state === "active" || state === "expiring";
}
