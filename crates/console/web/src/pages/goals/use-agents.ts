import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { Agent } from "@/api/types";

export const AGENTS_KEY = ["agents"];

/** The agents that work for the user, each with the tools that it may call for the user. */
export function useAgents(enabled = true) {
  return useQuery({
    queryKey: AGENTS_KEY,
    enabled,
    staleTime: 300_000,
    queryFn: async (): Promise<Agent[]> => (await body(api.GET("/v1/agents"))).data,
  });
}
