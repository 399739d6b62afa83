import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { TeamMember } from "@/api/types";
import { TEAMS_KEY } from "@/space/use-space";

export const INVITATIONS_KEY = ["invitations"];

export function useTeam(id: string) {
  return useQuery({
    queryKey: [...TEAMS_KEY, "one", id],
    queryFn: () => body(api.GET("/v1/teams/{id}", { params: { path: { id } } })),
    staleTime: 0,
  });
}

export function useMembers(team: string, enabled: boolean) {
  return useQuery({
    queryKey: [...TEAMS_KEY, "members", team],
    enabled,
    queryFn: async (): Promise<TeamMember[]> =>
      (await body(api.GET("/v1/teams/{id}/members", { params: { path: { id: team } } }))).data,
    staleTime: 0,
  });
}

/** Loads all of teams and their members again, after one of them changed. */
export function useRefreshTeams() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: TEAMS_KEY });
}
