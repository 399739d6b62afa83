import { Link } from "react-router";
import { goals, isOver } from "@/api/goals";
import type { Goal } from "@/api/types";
import { Page } from "@/components/page";
import { PagedList, usePages } from "@/components/pages";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { NewGoal } from "./new-goal";
import { countDone } from "./progress";
import { GoalState } from "./state";
import { GOALS_KEY } from "./use-goal";

const POLL_MS = 10_000;

function Row({ goal }: { goal: Goal }) {
  const { t, moment } = useI18n();
  const { id, objective, status, created_at } = goal;
  const progress = countDone(goal);
  const facts = [t("goal.created", { at: moment(created_at) }), progress.count > 0 && t("goal.done", progress)];
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <Link
          to={`/goals/${id}`}
          className="inline-flex min-h-target min-w-target items-center font-semibold hover:underline"
        >
          <span className="line-clamp-2 [overflow-wrap:anywhere]">{visibleText(objective)}</span>
        </Link>
        <p className="text-sm text-quiet">{facts.filter(Boolean).join(" · ")}</p>
      </div>
      <GoalState status={status} />
    </li>
  );
}

/** What the user wants, with how far it has come. */
export function GoalsPage() {
  const { t } = useI18n();
  const list = usePages<Goal>({
    key: [...GOALS_KEY, "list"],
    staleTime: 0,
    load: (cursor) => goals.list(cursor),
    refetch: (items) => (items.some(({ status }) => !isOver(status)) ? POLL_MS : false),
  });
  return (
    <Page title={t("goals")}>
      <p className="text-quiet">{t("goal.hint")}</p>
      <NewGoal />
      <PagedList list={list} empty={t("goal.none")}>
        {(all) => (
          <ul aria-label={t("goals")} className="flex flex-col gap-2">
            {all.map((goal) => (
              <Row key={goal.id} goal={goal} />
            ))}
          </ul>
        )}
      </PagedList>
    </Page>
  );
}
