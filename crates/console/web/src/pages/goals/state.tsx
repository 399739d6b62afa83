// The states of goals and steps, in words.

import { Check, CircleDashed, CircleSlash, LoaderCircle } from "lucide-react";
import type { GoalStatus, StepStatus } from "@/api/types";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";

const PICTURES = {
  pending: CircleDashed,
  running: LoaderCircle,
  succeeded: Check,
  skipped: CircleSlash,
} satisfies Partial<Record<StepStatus, unknown>>;

export function GoalState({ status }: { status: GoalStatus }) {
  const { t } = useI18n();
  return <Badge tone={status === "failed" ? "alarm" : "plain"}>{t(`goal.status.${status}`)}</Badge>;
}

/** A picture and a word. What goes well, or has not begun, is grey. */
export function StepState({ status }: { status: StepStatus }) {
  const { t } = useI18n();
  const text = t(`step.status.${status}`);
  if (status === "failed") return <Badge tone="alarm">{text}</Badge>;
  if (status === "waiting_approval") return <Badge tone="warning">{text}</Badge>;
  const Picture = PICTURES[status];
  return (
    <Badge>
      <Picture className={status === "running" ? "size-4 animate-spin" : "size-4"} aria-hidden /> {text}
    </Badge>
  );
}
