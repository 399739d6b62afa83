import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { Badge, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { Bar } from "./charts";

type Budgets = components["schemas"]["BudgetsOf"];

interface LimitProps {
  name: string;
  used: number;
  limit: number | null | undefined;
  /** Amounts of answers that are being written. */
  reserved?: number;
  nearlyUsedUp?: boolean;
  ends?: string;
}

/** What is used of a limit, with a word where that is abnormal. */
function Limit({ name, used, limit, reserved = 0, nearlyUsedUp = false, ends }: LimitProps) {
  const { t, number, moment } = useI18n();
  const isLimited = limit !== null && limit !== undefined;
  const isUsedUp = isLimited && used >= limit;
  const notes = [ends && isLimited ? t("resetsAt", { at: moment(ends) }) : "", reserved > 0 ? t("setAside", { amount: number(reserved) }) : ""];
  return (
    <div className="flex flex-col gap-1">
      {isLimited ? (
        <Bar label={name} value={used} highest={limit} abnormal={nearlyUsedUp || isUsedUp} text={`${number(used)} / ${number(limit)}`} />
      ) : (
        <p className="flex justify-between gap-3">
          <span>{name}</span>
          <span className="tabular-nums">{`${number(used)} · ${t("unlimited")}`}</span>
        </p>
      )}
      <p className="flex flex-wrap items-center gap-2 text-sm text-quiet empty:hidden">
        {isUsedUp && <Badge tone="alarm">{t("usedUp")}</Badge>}
        {nearlyUsedUp && !isUsedUp && <Badge tone="warning">{t("nearlyUsedUp")}</Badge>}
        {notes.filter(Boolean).join(" · ")}
      </p>
    </div>
  );
}

export function BudgetBars({ title, budgets }: { title: string; budgets: Budgets }) {
  const { t } = useI18n();
  const rows = [
    { name: t("tokensPerDay"), ...budgets.tokens_per_day },
    { name: t("costPerMonth"), ...budgets.cost_per_month },
  ];
  return (
    <section aria-label={title} className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
      <h2>{title}</h2>
      {rows.map(({ name, limit, spent, reserved, soft_exceeded, period_ends }) => (
        <Limit key={name} name={name} used={spent} limit={limit} reserved={reserved} nearlyUsedUp={soft_exceeded} ends={period_ends} />
      ))}
    </section>
  );
}

/** What the plant stores and asks for, with its quotas. */
export function QuotaBars() {
  const { t } = useI18n();
  const usage = useQuery({ queryKey: ["quotas"], queryFn: () => body(api.GET("/v1/admin/usage")) });
  if (usage.isPending) return <Spinner label={t("loading")} />;
  if (usage.isError) return <LoadError error={usage.error} retry={() => void usage.refetch()} />;
  const { documents, bytes, tokens_per_day, requests_per_day, day_ends } = usage.data;
  const rows = [
    { name: t("quota.documents"), ...documents },
    { name: t("quota.bytes"), ...bytes },
    { name: t("quota.tokens_per_day"), ...tokens_per_day, ends: day_ends },
    { name: t("quota.requests_per_day"), ...requests_per_day },
  ].filter(({ used }) => used !== null && used !== undefined);
  return (
    <section aria-label={t("quotasOfPlant")} className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
      <h2>{t("quotasOfPlant")}</h2>
      {rows.map(({ used, allowed, ...row }) => (
        <Limit key={row.name} {...row} used={used ?? 0} limit={allowed} />
      ))}
    </section>
  );
}
