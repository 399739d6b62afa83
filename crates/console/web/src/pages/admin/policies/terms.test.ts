import { describe, expect, it } from "vitest";
import type { ApprovalPolicy } from "@/api/types";
import { fieldsOf, gapOf, policyOf } from "./terms";

const policy: ApprovalPolicy = {
  tool: "plant_system_write",
  version: 3,
  approvers: { user_ids: ["ines"], grant: null },
  quorum: 1,
  expires_after_s: 5_400,
  on_expiry: "escalate",
  escalate_to: { user_ids: ["boss"] },
  channels: ["c"],
  max_auth_age_s: 300,
};

describe("the form of a policy", () => {
  it("gives back what it was filled with", () => {
    const { tool: _tool, version: _version, ...terms } = policy;
    expect(policyOf(fieldsOf(policy))).toEqual(terms);
    expect(fieldsOf(policy)).toMatchObject({ expiresAfter: "1.5", maxAuthAge: "5" });
  });

  it("keeps every whole second", () => {
    for (const expires_after_s of [1, 59, 3_601, 86_399, 7_776_000]) {
      expect(policyOf(fieldsOf({ ...policy, expires_after_s })).expires_after_s).toBe(expires_after_s);
    }
  });

  it("escalates to nobody if it rejects", () => {
    expect(policyOf({ ...fieldsOf(policy), onExpiry: "reject" }).escalate_to).toEqual({ user_ids: [] });
  });
});

describe("gapOf", () => {
  const fields = fieldsOf(policy);

  it("is found before it is saved", () => {
    expect(gapOf(fields)).toBeUndefined();
    expect(gapOf({ ...fields, users: [] })).toBe("policy.nobody");
    expect(gapOf({ ...fields, quorum: "2" })).toBe("policy.tooFew");
    expect(gapOf({ ...fields, quorum: "2", hasGrant: true })).toBeUndefined();
    expect(gapOf({ ...fields, escalateTo: [] })).toBe("policy.noEscalation");
  });
});
