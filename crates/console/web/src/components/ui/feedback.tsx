import { CircleAlert, LoaderCircle, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { Button } from "./button";

type Tone = "plain" | "warning" | "alarm";

const BADGE_TONES: Record<Tone, string> = {
  plain: "border-line text-quiet",
  warning: "border-warning text-warning bg-warning-ground",
  alarm: "border-alarm text-alarm bg-alarm-ground",
};

/** A short state. Only what is abnormal has a colour, and always a picture too. */
export function Badge({ tone = "plain", title, children }: { tone?: Tone; title?: string; children: ReactNode }) {
  return (
    <span
      title={title}
      className={cn("inline-flex items-center gap-1 rounded border px-2 py-0.5 text-sm whitespace-nowrap", BADGE_TONES[tone])}
    >
      {tone === "warning" && <TriangleAlert className="size-4" aria-hidden />}
      {tone === "alarm" && <CircleAlert className="size-4" aria-hidden />}
      {children}
    </span>
  );
}

/** A message about something that went wrong, with what can be done. */
export function Notice({ tone = "alarm", children, action }: { tone?: Tone; children: ReactNode; action?: ReactNode }) {
  return (
    <div
      role={tone === "alarm" ? "alert" : "status"}
      className={cn("flex flex-wrap items-center gap-3 rounded-md border px-4 py-3", BADGE_TONES[tone])}
    >
      {tone !== "plain" && <TriangleAlert className="size-5 shrink-0" aria-hidden />}
      <div className="min-w-0 flex-1">{children}</div>
      {action}
    </div>
  );
}

/** Something that failed to load. */
export function LoadError({ error, retry }: { error: unknown; retry: () => void }) {
  const { t } = useI18n();
  const detail = error instanceof Error && error.message ? error.message : t("notReachable");
  return (
    <Notice action={<Button onClick={retry}>{t("tryAgain")}</Button>}>{detail}</Notice>
  );
}

export function Spinner({ label }: { label: string }) {
  return (
    <div role="status" className="flex items-center gap-3 p-4 text-quiet">
      <LoaderCircle className="size-5 animate-spin" aria-hidden />
      {label}
    </div>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="rounded-md border border-dashed border-line p-6 text-center text-quiet">{children}</p>;
}
