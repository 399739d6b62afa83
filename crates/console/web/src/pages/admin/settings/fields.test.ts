import { describe, expect, it } from "vitest";
import { mergePatch } from "@/lib/merge-patch";
import { type SettingsView, fieldsOf, hasDuplicates, settingsOf, toChange } from "./fields";

const VIEW: SettingsView = {
  clearance: { viewer: null, user: "confidential" } as never,
  role_mappings: { "g:ops": "user" } as never,
  pii_sanitization: { enabled: true } as never,
  rate_limits: { viewer: null, user: { per_minute: 60, per_hour: 600 }, admin: null } as never,
  quotas: { documents: 10, cost_per_month: 2.5 } as never,
  language: "german",
  goals: { max_parallel_steps: 4 } as never,
  teams: { host_guests: true, guest_classification: "public" } as never,
};

function patchOf(change: (fields: ReturnType<typeof fieldsOf>) => void) {
  const fields = fieldsOf(VIEW);
  change(fields);
  return toChange(mergePatch(settingsOf(fieldsOf(VIEW)), settingsOf(fields)));
}

describe("a change of settings", () => {
  it("is empty as long as no field is touched", () => {
    expect(patchOf(() => {})).toEqual({});
  });

  it("removes what is emptied and keeps the rest", () => {
    const patch = patchOf((fields) => {
      fields.single.language = "";
      fields.clearance.user = "";
      fields.quotas.documents = "";
      fields.roleMappings = [{ value: " g:lab ", role: "viewer" }];
    });
    expect(patch).toEqual({
      language: null,
      clearance: { user: null },
      quotas: { documents: null },
      role_mappings: { "g:ops": null, "g:lab": "viewer" },
    });
  });

  it("has both numbers of a request limit even if one is changed", () => {
    const patch = patchOf((fields) => {
      fields.rateLimits.user.perHour = "700";
    });
    expect(patch).toEqual({ rate_limits: { user: { per_minute: 60, per_hour: 700 } } });
  });

  it("has numbers where the API takes numbers", () => {
    const patch = patchOf((fields) => {
      fields.single.access_token_max_days = "90";
      fields.quotas.cost_per_month = "2.75";
    });
    expect(patch).toEqual({ access_token_max_days: 90, quotas: { cost_per_month: 2.75 } });
  });

  it("permits guests and plans without approval by what is there alone", () => {
    const patch = patchOf((fields) => {
      fields.goals = { requireApproval: true, maxParallelSteps: "" };
      fields.teams = { ...fields.teams, hostGuests: false, joinOthers: true, deleteAfterDays: "0" };
    });
    expect(patch).toEqual({
      goals: { require_approval: true, max_parallel_steps: null },
      teams: { host_guests: null, join_others: true, delete_after_days: 0 },
    });
  });

  it("leaves all privacy patterns on while none is chosen", () => {
    expect(fieldsOf(VIEW).pii.patterns).toHaveLength(5);
    const patch = patchOf((fields) => {
      fields.pii.patterns = fields.pii.patterns.filter((pattern) => pattern !== "phone");
    });
    expect(patch).toEqual({
      pii_sanitization: { patterns: ["employee_id", "email", "ip_address", "equipment_serial"] },
    });
  });
});

describe("hasDuplicates", () => {
  it("compares values as they are sent", () => {
    expect(hasDuplicates([{ value: "a", role: "user" }, { value: "a ", role: "viewer" }])).toBe(true);
    expect(hasDuplicates([{ value: "a", role: "user" }, { value: "", role: "viewer" }, { value: "", role: "viewer" }])).toBe(false);
  });
});
