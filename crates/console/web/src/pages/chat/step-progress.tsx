import { Check, CircleAlert, LoaderCircle } from "lucide-react";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import type { RunStep } from "./live-runs";

function Picture({ status }: { status: RunStep["status"] }) {
  if (status === "succeeded") return <Check className="size-4" aria-hidden />;
  if (status === "failed" || status === "skipped") return <CircleAlert className="size-4 text-warning" aria-hidden />;
  return <LoaderCircle className="size-4 animate-spin" aria-hidden />;
}

/** Which agent works on which part of the question. A simple question has no parts, and nothing is shown. */
export function StepProgress({ steps }: { steps: readonly RunStep[] }) {
  const { t } = useI18n();
  if (steps.length === 0) return null;
  return (
    <ul className="flex flex-col gap-1 text-sm text-quiet" aria-label={t("chatSteps")}>
      {steps.map(({ id, agent, title, status }) => (
        <li key={id} className="flex items-start gap-2">
          <span className="mt-0.5">
            <Picture status={status} />
          </span>
          <span className="[overflow-wrap:anywhere]">
            <span className="font-semibold">{agent}</span>: {visibleText(title)}{" "}
            <span className={status === "running" ? "sr-only" : undefined}>({t(`step.status.${status}`)})</span>
          </span>
        </li>
      ))}
    </ul>
  );
}
