import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { useAccount } from "@/account";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import type { Team } from "@/api/types";
import { mayContribute, spaceOf } from "./space";

export const TEAMS_KEY = ["teams"];

/** The user's teams, the newest first. */
export function useTeams() {
  return useQuery({
    queryKey: [...TEAMS_KEY, "mine"],
    enabled: hasFeature("teams"),
    queryFn: async (): Promise<Team[]> => {
      return (await body(api.GET("/v1/teams", { params: { query: { limit: 200 } } }))).data;
    },
  });
}

export interface Space {
  /** Id of the team; `undefined` in the plant's own space. */
  team: string | undefined;
  /** What is known of the team, once it is loaded. */
  details: Team | undefined;
  /** Whether the user may ask and upload there. */
  mayContribute: boolean;
}

/** The space of a team, or the plant's own. */
export function useSpaceOf(team: string | null | undefined): Space {
  const account = useAccount();
  const teams = useTeams();
  const details = team ? teams.data?.find(({ id }) => id === team) : undefined;
  return { team: team ?? undefined, details, mayContribute: team ? mayContribute(account, details) : true };
}

/** The space that the address names. */
export function useSpace(): Space {
  const [parameters] = useSearchParams();
  return useSpaceOf(spaceOf(parameters));
}
