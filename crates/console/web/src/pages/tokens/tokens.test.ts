import { describe, expect, it } from "vitest";
import { SCOPES, scopeGroups } from "./scopes";
import { isUsable, tokenState } from "./token-state";

const NOW = Date.parse("2026-11-30T12:00:00Z");

describe("tokenState", () => {
  it.each([
    { expires_at: "2027-01-30T12:00:00Z", revoked_at: null, state: "active", usable: true },
    { expires_at: "2026-12-07T12:00:00Z", revoked_at: null, state: "expiring", usable: true },
    { expires_at: "2026-11-30T12:00:00Z", revoked_at: null, state: "expired", usable: false },
    { expires_at: "2027-01-30T12:00:00Z", revoked_at: "2026-11-01T00:00:00Z", state: "revoked", usable: false },
  ] as const)("of a token until $expires_at is $state", ({ state, usable, ...token }) => {
    expect(tokenState(token, NOW)).toBe(state);
    expect(isUsable(state)).toBe(usable);
  });
});

describe("scopeGroups", () => {
  it("has each scope once, under its resource", () => {
    const groups = scopeGroups();
    const listed = groups.flatMap(({ scopes }) => scopes.map(({ scope }) => scope));
    expect(listed.toSorted()).toEqual(SCOPES.toSorted());
    const { scopes } = groups.find(({ resource }) => resource === "audit_logs") ?? { scopes: [] };
    expect(scopes.map(({ operation }) => operation)).toEqual(["list", "export"]);
  });
});
