// The terms of an approval policy as a form has them.

import type { components } from "@/api/schema";
import type { ApprovalPolicy } from "@/api/types";

export type NewPolicy = components["schemas"]["NewPolicy"];

/** Numbers are texts while they are typed. */
export interface PolicyFields {
  users: string[];
  hasGrant: boolean;
  quorum: string;
  /** Hours. */
  expiresAfter: string;
  onExpiry: ApprovalPolicy["on_expiry"];
  escalateTo: string[];
  channels: string[];
  /** Minutes. */
  maxAuthAge: string;
}

const HOUR = 3_600;
const MINUTE = 60;

/** Up to four digits after the point, so that whole seconds survive. */
function inUnit(seconds: number, unit: number): string {
  return String(Number((seconds / unit).toFixed(4)));
}

export function fieldsOf(policy: ApprovalPolicy): PolicyFields {
  return {
    users: policy.approvers.user_ids,
    hasGrant: policy.approvers.grant === "approver",
    quorum: String(policy.quorum),
    expiresAfter: inUnit(policy.expires_after_s, HOUR),
    onExpiry: policy.on_expiry,
    escalateTo: policy.escalate_to.user_ids,
    channels: policy.channels,
    maxAuthAge: inUnit(policy.max_auth_age_s, MINUTE),
  };
}

function seconds(text: string, unit: number): number {
  return Math.max(Math.round(Number(text) * unit), 1);
}

export function policyOf(fields: PolicyFields): NewPolicy {
  const isEscalated = fields.onExpiry === "escalate";
  return {
    approvers: { user_ids: fields.users, grant: fields.hasGrant ? "approver" : null },
    quorum: Number(fields.quorum),
    expires_after_s: seconds(fields.expiresAfter, HOUR),
    on_expiry: fields.onExpiry,
    escalate_to: { user_ids: isEscalated ? fields.escalateTo : [] },
    channels: fields.channels,
    max_auth_age_s: seconds(fields.maxAuthAge, MINUTE),
  };
}

export type Gap = "policy.nobody" | "policy.tooFew" | "policy.noEscalation";

/** What makes a policy useless: nobody could approve, fewer people than must, or nobody to escalate to. */
export function gapOf({ users, hasGrant, quorum, onExpiry, escalateTo }: PolicyFields): Gap | undefined {
  if (!hasGrant && users.length === 0) return "policy.nobody";
  if (!hasGrant && users.length < Number(quorum)) return "policy.tooFew";
  if (onExpiry === "escalate" && escalateTo.length === 0) return "policy.noEscalation";
  return undefined;
}
