import { describe, expect, it } from "vitest";
import type { Account, Team } from "@/api/types";
import { inSpace, isGuestIn, mayContribute, spaceOf } from "./space";

const account = (role: Account["role"]) => ({ role, tenant: { id: "home" } }) as Account;
const team = (team_role: Team["team_role"], more: Partial<Team> = {}) =>
  ({ team_role, tenant_id: "home", ...more }) as Team;

describe("a space", () => {
  it("is in the address", () => {
    expect(spaceOf(new URLSearchParams("team=t1&q=pump"))).toBe("t1");
    expect(spaceOf(new URLSearchParams("team="))).toBeUndefined();
    expect(inSpace("/chat", "t1")).toBe("/chat?team=t1");
    expect(inSpace("/chat", null)).toBe("/chat");
    expect(inSpace("/chat", "a&b=c")).toBe("/chat?team=a%26b%3Dc");
  });

  it("lets its user do what both roles allow", () => {
    expect(mayContribute(account("user"), team("member"))).toBe(true);
    expect(mayContribute(account("user"), team("viewer"))).toBe(false);
    expect(mayContribute(account("viewer"), team("owner"))).toBe(false);
    expect(mayContribute(account("admin"), team("owner", { deleted_at: "2030-01-01T00:00:00Z" }))).toBe(false);
    expect(mayContribute(account("admin"), undefined)).toBe(false);
  });

  it("is another plant's for a guest", () => {
    expect(isGuestIn(account("user"), team("member", { tenant_id: "other" }))).toBe(true);
    expect(isGuestIn(account("user"), team("member"))).toBe(false);
  });
});
