// The plan at a glance: a column for all that can run at the same time, with lines from what each step waits for. On a
// small screen it is a list, which says the same in words; screen readers get these words at any size.

import { type CSSProperties, useMemo } from "react";
import type { Step } from "@/api/types";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn } from "@/lib/utils";
import { type Place, inOrder, nearest, places } from "./levels";
import { StepState } from "./state";

/** Sizes in rem: the graph grows with the text. */
const WIDTH = 14;
const HEIGHT = 7.5;
const GAP_X = 3;
const GAP_Y = 1;

const left = ({ level }: Place) => level * (WIDTH + GAP_X);
const top = ({ row }: Place) => row * (HEIGHT + GAP_Y);
const middle = (place: Place) => top(place) + HEIGHT / 2;

interface Line {
  key: string;
  path: string;
}

function curve(x1: number, y1: number, x2: number, y2: number) {
  const bend = (x1 + x2) / 2;
  return `C ${bend} ${y1} ${bend} ${y2} ${x2} ${y2}`;
}

/** A line from one step to another. Where columns lie between, it goes through the gap below the row. */
function lineBetween(from: Place, to: Place): string {
  const [x1, y1, x2, y2] = [left(from) + WIDTH, middle(from), left(to), middle(to)];
  const start = `M ${x1} ${y1}`;
  if (to.level - from.level < 2) return `${start} ${curve(x1, y1, x2, y2)}`;
  const lane = top(from) + HEIGHT + GAP_Y / 2;
  return `${start} ${curve(x1, y1, x1 + GAP_X, lane)} H ${x2 - GAP_X} ${curve(x2 - GAP_X, lane, x2, y2)}`;
}

function linesOf(steps: readonly Step[], all: ReadonlyMap<string, Place>): Line[] {
  return steps.flatMap((step) =>
    nearest(steps, step).flatMap((before) => {
      const [from, to] = [all.get(before), all.get(step.id)];
      return from && to ? [{ key: `${before} ${step.id}`, path: lineBetween(from, to) }] : [];
    }),
  );
}

/** The number of each step, in the order in which they are listed. */
export function numbers(steps: readonly Step[]): Map<string, number> {
  return new Map(inOrder(steps).map(({ id }, index) => [id, index + 1]));
}

/** Where the details of a step are on the page. */
export function stepAnchor(id: string) {
  return `step-${id}`;
}

/** What a step waits for, in words. */
export function After({ step, steps }: { step: Step; steps: readonly Step[] }) {
  const { t } = useI18n();
  const titles = step.depends_on.map((id) => visibleText(steps.find((one) => one.id === id)?.title ?? id));
  return <>{titles.length > 0 ? t("step.after", { steps: titles.join(", ") }) : t("step.first")}</>;
}

function Node({ step, steps, number }: { step: Step; steps: readonly Step[]; number: number }) {
  const { t } = useI18n();
  const { id, title, agent, status, citations } = step;
  const open = () => document.getElementById(stepAnchor(id))?.focus();
  return (
    <a
      href={`#${stepAnchor(id)}`}
      onClick={open}
      className={cn(
        "flex h-full min-h-target flex-col gap-1 rounded-md border bg-raised px-3 py-2 hover:bg-ground",
        status === "failed" ? "border-alarm" : status === "waiting_approval" ? "border-warning" : "border-line",
        status === "running" && "border-2 border-ink",
      )}
    >
      <span className="line-clamp-2 font-semibold [overflow-wrap:anywhere]">
        {number}. {visibleText(title)}
      </span>
      <span className="truncate text-sm text-quiet">{t("step.by", { agent })}</span>
      <span className="text-sm text-quiet md:sr-only">
        <After step={step} steps={steps} />
      </span>
      <span className="mt-auto flex flex-wrap items-center gap-x-2">
        <StepState status={status} />
        {status === "succeeded" && citations.length > 0 && (
          <span className="text-sm text-quiet">{t("step.sources", { count: citations.length })}</span>
        )}
      </span>
    </a>
  );
}

/** Sizes in rem, as variables of the style sheet. */
function variables(sizes: Record<`--${string}`, number>) {
  return Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, `${size}rem`])) as CSSProperties;
}

export function PlanGraph({ steps }: { steps: readonly Step[] }) {
  const { t } = useI18n();
  const all = useMemo(() => places(steps), [steps]);
  const lines = useMemo(() => linesOf(steps, all), [steps, all]);
  const number = useMemo(() => numbers(steps), [steps]);
  const extent = [...all.values()];
  const width = Math.max(0, ...extent.map((place) => left(place) + WIDTH));
  const height = Math.max(0, ...extent.map((place) => top(place) + HEIGHT + GAP_Y));
  return (
    <div
      role="region"
      aria-label={t("plan.graph")}
      tabIndex={0}
      className="md:overflow-x-auto md:rounded-lg md:border md:border-line md:bg-surface md:p-4"
    >
      <div className="plan-graph relative" style={variables({ "--w": width, "--h": height })}>
        <svg
          aria-hidden
          className="absolute inset-0 hidden size-full text-quiet md:block"
          viewBox={`0 0 ${width} ${height}`}
          fill="none"
          stroke="currentColor"
          strokeWidth="0.1"
        >
          <defs>
            <marker id="plan-arrow" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="8" markerHeight="8" orient="auto">
              <path d="M 0 0 L 6 3 L 0 6 z" fill="currentColor" stroke="none" />
            </marker>
          </defs>
          {lines.map(({ key, path }) => (
            <path key={key} d={path} markerEnd="url(#plan-arrow)" />
          ))}
        </svg>
        <ol className="flex flex-col gap-2">
          {inOrder(steps).map((step) => {
            const place = all.get(step.id) ?? { level: 0, row: 0 };
            return (
              <li key={step.id} className="plan-node" style={variables({ "--x": left(place), "--y": top(place) })}>
                <Node step={step} steps={steps} number={number.get(step.id) ?? 0} />
              </li>
            );
          })}
        </ol>
      </div>
    </div>
  );
}
