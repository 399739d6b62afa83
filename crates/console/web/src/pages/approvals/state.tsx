// The state of a request for approval, in words.

import { Badge } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import { formatDuration, useSecondsUntil } from "@/lib/duration";
import { visibleText } from "@/lib/invisible";
import type { Approval } from "@/api/types";
import { type ApprovalStatus, URGENT_SECONDS, approvalsSoFar, isAbnormal } from "./approval";

export function ApprovalState({ status }: { status: ApprovalStatus }) {
  const { t } = useI18n();
  return <Badge tone={isAbnormal(status) ? "alarm" : "plain"}>{t(`approval.status.${status}`)}</Badge>;
}

/** How long a pending request still waits, counted down. */
export function Expiry({ at }: { at: string }) {
  const { t, language, moment } = useI18n();
  const seconds = useSecondsUntil(at);
  const text = seconds > 0 ? t("approval.expiresIn", { time: formatDuration(language, seconds) }) : t("approval.expiresNow");
  return (
    <time dateTime={at} title={moment(at)}>
      {seconds <= URGENT_SECONDS ? <Badge tone="warning">{text}</Badge> : <span className="text-sm text-quiet">{text}</span>}
    </time>
  );
}

export function Quorum({ approval }: { approval: Approval }) {
  const { t } = useI18n();
  return <>{t("approval.quorum", { count: approvalsSoFar(approval), required: approval.required })}</>;
}

const ACTIONS: Record<string, MessageKey> = {
  create_work_order: "action.create_work_order",
  plant_system_write: "action.plant_system_write",
};

interface Call {
  tool: string;
  arguments?: Record<string, unknown>;
}

/** What a call does, in words where the console knows the tool. */
export function useActionName(): (call: Call) => string {
  const { t } = useI18n();
  return ({ tool, arguments: given }) => {
    const action = typeof given?.action === "string" ? given.action : tool;
    const known = ACTIONS[action];
    return known ? t(known) : visibleText(action);
  };
}
