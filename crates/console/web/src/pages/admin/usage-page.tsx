import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import type { UsageReport } from "@/api/types";
import { Badge, Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";

const GROUPS = ["day", "user", "model", "backend", "operation", "tier"] as const;
type Group = (typeof GROUPS)[number];
type Budgets = components["schemas"]["BudgetsOf"];

interface BarProps {
  label: string;
  value: number;
  highest: number;
  text: string;
  abnormal?: boolean;
}

/** One bar with its number, which is read without the bar too. */
function Bar({ label, value, highest, text, abnormal }: BarProps) {
  const percent = highest > 0 ? Math.min((value / highest) * 100, 100) : 0;
  return (
    <div className="grid grid-cols-[minmax(6rem,12rem)_1fr_auto] items-center gap-3">
      <span className="truncate" title={label}>
        {label}
      </span>
      <svg className="h-5 w-full" preserveAspectRatio="none" viewBox="0 0 100 10" aria-hidden>
        <rect width="100" height="10" className="fill-ground" />
        <rect width={percent} height="10" className={abnormal ? "fill-warning" : "fill-quiet"} />
      </svg>
      <span className="tabular-nums">{text}</span>
    </div>
  );
}

function BudgetBars({ title, budgets }: { title: string; budgets: Budgets }) {
  const { t, number } = useI18n();
  const rows = [
    { name: t("tokensPerDay"), ...budgets.tokens_per_day },
    { name: t("costPerMonth"), ...budgets.cost_per_month },
  ];
  return (
    <section aria-label={title} className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
      <h2>{title}</h2>
      {rows.map(({ name, limit, spent, soft_exceeded }) => (
        <div key={name} className="flex flex-col gap-1">
          {limit === null || limit === undefined ? (
            <p className="flex justify-between gap-3">
              <span>{name}</span>
              <span className="tabular-nums">{`${number(spent)} · ${t("unlimited")}`}</span>
            </p>
          ) : (
            <Bar label={name} value={spent} highest={limit} abnormal={soft_exceeded} text={`${number(spent)} / ${number(limit)}`} />
          )}
          {soft_exceeded && <Badge tone="warning">{t("nearlyUsedUp")}</Badge>}
        </div>
      ))}
    </section>
  );
}

function Totals({ totals }: { totals: UsageReport["totals"] }) {
  const { t, number } = useI18n();
  const facts = [
    [t("calls"), number(totals.calls)],
    [t("tokensRead"), number(totals.input_tokens)],
    [t("tokensWritten"), number(totals.output_tokens)],
    [t("cost"), number(totals.cost, { maximumFractionDigits: 2 })],
    [t("failedCalls"), number(totals.errors)],
    [t("fallbacks"), number(totals.fallbacks)],
  ] as const;
  return (
    <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
      {facts.map(([name, value]) => (
        <div key={name} className="rounded-lg border border-line bg-raised p-3">
          <dt className="text-sm text-quiet">{name}</dt>
          <dd className="text-xl font-semibold tabular-nums">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function useUserNames(wanted: boolean) {
  const users = useQuery({
    queryKey: ["user-names"],
    enabled: wanted,
    queryFn: () => body(api.GET("/v1/admin/users", { params: { query: { limit: 200 } } })),
  });
  return new Map(users.data?.data.map(({ id, name, email }) => [id, name ?? email]));
}

export function UsagePage() {
  const { t, number } = useI18n();
  const [group, setGroup] = useState<Group>("day");
  const report = useQuery({
    queryKey: ["usage", group],
    queryFn: () => body(api.GET("/v1/usage", { params: { query: { group_by: group } } })),
  });
  const names = useUserNames(group === "user");
  if (report.isPending) return <Spinner label={t("loading")} />;
  if (report.isError) return <LoadError error={report.error} retry={() => void report.refetch()} />;
  const { totals, groups, budgets } = report.data;
  const tokens = (one: (typeof groups)[number]) => one.input_tokens + one.output_tokens;
  const highest = Math.max(...groups.map(tokens), 0);
  return (
    <div className="flex flex-col gap-4">
      <Totals totals={totals} />
      <div className="grid gap-4 lg:grid-cols-2">
        {budgets.tenant && <BudgetBars title={t("budgetOfPlant")} budgets={budgets.tenant} />}
        <BudgetBars title={t("budgetOwn")} budgets={budgets.user} />
      </div>
      <section aria-label={t("tokens")} className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
        <Field label={t("groupBy")} className="max-w-xs">
          {(ids) => (
            <Select {...ids} value={group} onChange={(event) => setGroup(event.target.value as Group)}>
              {GROUPS.map((name) => (
                <option key={name} value={name}>
                  {t(`group.${name}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        {groups.length === 0 && <Empty>{t("noUsage")}</Empty>}
        {groups.map((one) => (
          <Bar
            key={one.key ?? ""}
            label={names.get(one.key ?? "") ?? one.key ?? t("none")}
            value={tokens(one)}
            highest={highest}
            text={t("tokenCount", { count: number(tokens(one)) })}
          />
        ))}
      </section>
    </div>
  );
}
