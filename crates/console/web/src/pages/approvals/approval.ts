// What can be said of a request for approval, by its data alone.

import { ApiError } from "@/api/client";
import type { Approval } from "@/api/types";
import type { MessageKey } from "@/i18n";

export type ApprovalStatus = Approval["status"];
export type Verdict = Approval["decisions"][number]["decision"];

export const STATUSES: readonly ApprovalStatus[] = [
  "pending",
  "approved",
  "executing",
  "executed",
  "failed",
  "rejected",
  "expired",
  "cancelled",
];

/** A request that expires this soon is shown as urgent, in seconds. */
export const URGENT_SECONDS = 15 * 60;

/** How often a request is read again, in milliseconds; false once nothing changes any more. */
export function refreshAfter(status: ApprovalStatus | undefined): number | false {
  if (status === undefined || status === "pending") return 10_000;
  return status === "approved" || status === "executing" ? 2_000 : false;
}

/** Whether the platform could do nothing with it: the only outcome that somebody has to look after. */
export function isAbnormal(status: ApprovalStatus): boolean {
  return status === "failed";
}

export function approvalsSoFar({ decisions }: Approval): number {
  return decisions.filter(({ decision }) => decision === "approve").length;
}

export function hasDecided({ decisions }: Approval, user: string): boolean {
  return decisions.some(({ by }) => by === user);
}

/** Whether a request that the user may decide on still needs the user's decision. */
export function waitsFor(approval: Approval, user: string): boolean {
  return approval.status === "pending" && approval.requested_by !== user && !hasDecided(approval, user);
}

/** The number on the link to the approvals: of those that the user may decide on, how many wait. */
export function waitingCount(approvals: readonly Approval[], user: string): number {
  return approvals.filter((approval) => waitsFor(approval, user)).length;
}

/** The number as it is shown; `hasMore` if the list goes on. */
export function badgeText(count: number, hasMore: boolean): string {
  if (count === 0) return "";
  return hasMore ? `${count}+` : String(count);
}

/** What changes about a request when its digest does. */
export function digestContent({ tool, tool_version, target, arguments: given, policy_version, preview }: Approval) {
  return { tool, tool_version, target, arguments: given, policy_version, preview };
}

const REFUSALS: Record<string, MessageKey> = {
  self_approval: "approval.error.self",
  not_approver: "approval.error.notApprover",
  not_requester: "approval.error.notRequester",
  already_decided: "approval.error.decided",
  digest_mismatch: "approval.error.digest",
  expired: "approval.error.expired",
  step_up_required: "approval.error.stepUp",
  plant_mode: "approval.error.plantMode",
  not_found: "approval.error.notFound",
};

/** The words for a refused decision; `undefined` if the platform's own sentence says it best. */
export function refusal(error: unknown): MessageKey | undefined {
  return error instanceof ApiError ? REFUSALS[error.code] : undefined;
}

const OUTCOMES: Record<string, MessageKey> = {
  requester_not_allowed: "approval.outcome.requester",
  approver_not_allowed: "approval.outcome.approver",
  policy_changed: "approval.outcome.policy",
  digest_mismatch: "approval.outcome.digest",
  tool_changed: "approval.outcome.tool",
  plant_mode: "approval.outcome.plantMode",
  outcome_unknown: "approval.outcome.unknown",
};

/** The words for why an approved request was not executed. */
export function outcomeReason(code: string): MessageKey | undefined {
  return OUTCOMES[code];
}

/** Whether the request as it was read is out of date after this refusal, so that it has to be read again. */
export function isOutOfDate(error: unknown): boolean {
  return error instanceof ApiError && ["already_decided", "digest_mismatch", "expired"].includes(error.code);
}
