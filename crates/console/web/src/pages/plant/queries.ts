// What is read of the plant. Every request is a call of a tool, which is audited and counts towards the user's limit:
// so values are read at an even pace, and not at all while nobody looks.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useAccount } from "@/account";
import { type Reading, plant } from "@/api/plant";
import { chunks } from "./reading";

const POLL_MS = 10_000;
/** Tags that one search finds, and that one request reads. */
export const MAX_TAGS = 50;
/** Points of a chart. */
const POINTS = 120;

/** Whether the user may read values: viewers find tags only, and in the mode `off` nobody reads. */
export function useMayRead(): boolean {
  const { role, plant_mode } = useAccount();
  return role !== "viewer" && plant_mode !== "off";
}

export function useTags(query: string) {
  return useQuery({
    queryKey: ["plant", "tags", query],
    enabled: query !== "",
    queryFn: async () => (await plant.searchTags(query, MAX_TAGS)).tags,
  });
}

/** The newest values of tags, read again while they are looked at. */
export function useReadings(tags: readonly string[]) {
  const mayRead = useMayRead();
  return useQuery({
    queryKey: ["plant", "readings", tags],
    enabled: mayRead && tags.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: POLL_MS,
    staleTime: 0,
    queryFn: async () => {
      const parts = await Promise.all(chunks(tags, MAX_TAGS).map((part) => plant.read(part)));
      return parts.flatMap(({ readings }): Reading[] => readings);
    },
  });
}

export interface Period {
  from: number;
  to: number;
}

export function useHistory(tag: string, hours: number) {
  const mayRead = useMayRead();
  return useQuery({
    queryKey: ["plant", "history", tag, hours],
    enabled: mayRead,
    queryFn: async () => {
      const to = Date.now();
      const period: Period = { from: to - hours * 3_600_000, to };
      const interval = Math.max(Math.round((hours * 3_600) / POINTS), 1);
      return { ...period, ...(await plant.history(tag, new Date(period.from), new Date(to), interval)) };
    },
  });
}
