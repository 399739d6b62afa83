// A goal on the screen: loaded, and then changed by its events as they come.

import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "@/api/client";
import { goals, isOver } from "@/api/goals";
import type { Goal } from "@/api/types";
import { advance } from "./progress";

export const GOALS_KEY = ["goals"];

/** Events in quick succession lead to one request for what they do not tell. */
const SETTLE_MS = 700;
/** How often the goal is loaded while its events cannot be followed. */
const POLL_MS = 10_000;
/** When it is tried to follow them again: the connection, or a login, may be back. */
const FOLLOW_AGAIN_MS = 30_000;

export function goalKey(id: string) {
  return [...GOALS_KEY, "one", id];
}

/** Shows a goal as the platform has just returned it. */
export function showGoal(queries: QueryClient, goal: Goal) {
  queries.setQueryData(goalKey(goal.id), goal);
  void queries.invalidateQueries({ queryKey: [...GOALS_KEY, "list"] });
}

/** Follows the events of a goal while it is not over. Returns whether they could not be followed. */
function useEvents(id: string, isFollowed: boolean): boolean {
  const queries = useQueryClient();
  const [isLost, setLost] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!isFollowed) return;
    const reading = new AbortController();
    let again: ReturnType<typeof setTimeout> | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = () => queries.refetchQueries({ queryKey: goalKey(id) });
    const loadSoon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void load();
      }, SETTLE_MS);
    };
    const read = async () => {
      let after = "0";
      // A step that is tried again goes on with a goal that was over: the stream has ended by then.
      do {
        for await (const { id: number, event } of goals.follow(id, after, reading.signal)) {
          if (number) after = number;
          setLost(false);
          queries.setQueryData<Goal>(goalKey(id), (goal) => goal && advance(goal, event));
          loadSoon();
        }
        if (!reading.signal.aborted) await load();
      } while (!reading.signal.aborted && !isOver(queries.getQueryData<Goal>(goalKey(id))?.status ?? "failed"));
    };
    read().catch(() => {
      if (reading.signal.aborted) return;
      setLost(true);
      again = setTimeout(() => setAttempt((count) => count + 1), FOLLOW_AGAIN_MS);
    });
    return () => {
      reading.abort();
      clearTimeout(timer);
      clearTimeout(again);
    };
  }, [queries, id, isFollowed, attempt]);
  return isLost;
}

export function useGoal(id: string) {
  const [isPolled, setPolled] = useState(false);
  const goal = useQuery({
    queryKey: goalKey(id),
    queryFn: () => goals.get(id),
    staleTime: 0,
    refetchInterval: isPolled ? POLL_MS : false,
  });
  const isRunning = goal.data !== undefined && !isOver(goal.data.status);
  const isLost = useEvents(id, isRunning);
  useEffect(() => setPolled(isLost && isRunning), [isLost, isRunning]);
  return { goal, isLost: isLost && isRunning };
}

/** Whether a goal does not exist, or is another user's. */
export function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
