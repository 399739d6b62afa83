import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { isAdmin, useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { UsageReport } from "@/api/types";
import { Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useUserNames } from "../user-names";
import { BudgetBars, QuotaBars } from "./budgets";
import { Bar, ColumnChart } from "./charts";
import { MEASURES, type Measure, columns, measured } from "./measures";
import { PERIODS, type Period, daysOf, eachDay } from "./periods";

const GROUPS = ["day", "user", "model", "backend", "operation", "tier"] as const;
type Group = (typeof GROUPS)[number];

function Totals({ totals }: { totals: UsageReport["totals"] }) {
  const { t, number } = useI18n();
  const facts = [
    [t("calls"), number(totals.calls)],
    [t("tokensRead"), number(totals.input_tokens)],
    [t("tokensWritten"), number(totals.output_tokens)],
    [t("cost"), number(totals.cost, { maximumFractionDigits: 2 })],
    [t("failedCalls"), number(totals.errors)],
    [t("fallbacks"), number(totals.fallbacks)],
    [t("usageLatency"), totals.p50_ms ? t("milliseconds", { ms: number(totals.p50_ms, { maximumFractionDigits: 0 }) }) : "–"],
  ] as const;
  return (
    <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-7">
      {facts.map(([name, value]) => (
        <div key={name} className="rounded-lg border border-line bg-raised p-3">
          <dt className="text-sm text-quiet">{name}</dt>
          <dd className="text-xl font-semibold tabular-nums">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface Choice {
  period: Period;
  group: Group;
  measure: Measure;
}

/** What is shown is in the address; what is not known there is the first of its list. */
function useChoice() {
  const [parameters, setParameters] = useSearchParams();
  const read = <T extends string>(name: string, values: readonly T[], fallback: T) =>
    values.find((value) => value === parameters.get(name)) ?? fallback;
  const choice: Choice = {
    period: read("period", PERIODS, "month"),
    group: read("by", GROUPS, "day"),
    measure: read("show", MEASURES, "tokens"),
  };
  const choose = (name: string) => (event: { target: { value: string } }) => {
    const next = new URLSearchParams(parameters);
    next.set(name, event.target.value);
    setParameters(next, { replace: true });
  };
  return { choice, choose };
}

function Groups({ report, choice: { measure, period } }: { report: UsageReport; choice: Choice }) {
  const { t, number } = useI18n();
  const account = useAccount();
  const { groups, group_by: group } = report;
  const names = useUserNames(group === "user" && isAdmin(account));
  const format = (value: number) => number(value, { maximumFractionDigits: measure === "cost" ? 2 : 0 });
  const isAbnormal = measure === "errors";
  if (groups.length === 0) return <Empty>{t("noUsage")}</Empty>;
  if (group === "day") {
    const days = eachDay(daysOf(period, Date.now()));
    return (
      <ColumnChart name={t(`measure.${measure}`)} columns={columns(groups, days, measure)} format={format} abnormal={isAbnormal} />
    );
  }
  const highest = Math.max(...groups.map((one) => measured(one, measure)), 0);
  return groups
    .toSorted((one, other) => measured(other, measure) - measured(one, measure))
    .map((one) => {
      const value = measured(one, measure);
      return (
        <Bar
          key={one.key ?? ""}
          label={names.get(one.key ?? "") ?? one.key ?? t("none")}
          value={value}
          highest={highest}
          abnormal={isAbnormal && value > 0}
          text={format(value)}
        />
      );
    });
}

export function UsagePage() {
  const { t } = useI18n();
  const account = useAccount();
  const { choice, choose } = useChoice();
  const { from, to } = daysOf(choice.period, Date.now());
  const report = useQuery({
    queryKey: ["usage", choice.group, from, to],
    queryFn: () => body(api.GET("/v1/usage", { params: { query: { group_by: choice.group, from, to } } })),
    // The choice keeps the focus while the next report is loaded.
    placeholderData: (previous) => previous,
  });
  if (report.isPending) return <Spinner label={t("loading")} />;
  if (report.isError) return <LoadError error={report.error} retry={() => void report.refetch()} />;
  const { totals, budgets, truncated } = report.data;
  const selects = [
    { name: "period", label: t("period"), value: choice.period, options: PERIODS.map((one) => [one, t(`period.${one}`)] as const) },
    { name: "by", label: t("groupBy"), value: choice.group, options: GROUPS.map((one) => [one, t(`group.${one}`)] as const) },
    { name: "show", label: t("measure"), value: choice.measure, options: MEASURES.map((one) => [one, t(`measure.${one}`)] as const) },
  ];
  return (
    <div className="flex flex-col gap-4">
      <Totals totals={totals} />
      <section aria-label={t("tokens")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
        <div className="flex flex-wrap gap-3">
          {selects.map(({ name, label, value, options }) => (
            <Field key={name} label={label} className="max-w-60 flex-1 basis-36">
              {(ids) => (
                <Select {...ids} value={value} onChange={choose(name)}>
                  {options.map(([option, text]) => (
                    <option key={option} value={option}>
                      {text}
                    </option>
                  ))}
                </Select>
              )}
            </Field>
          ))}
        </div>
        {truncated && <Notice tone="warning">{t("truncated")}</Notice>}
        <Groups report={report.data} choice={choice} />
      </section>
      <div className="grid gap-4 lg:grid-cols-2">
        {budgets.tenant && <BudgetBars title={t("budgetOfPlant")} budgets={budgets.tenant} />}
        <BudgetBars title={t("budgetOwn")} budgets={budgets.user} />
        {isAdmin(account) && <QuotaBars />}
      </div>
    </div>
  );
}
