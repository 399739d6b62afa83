// Changes of memories, from their page and from the chat.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api } from "@/api/client";

export const MEMORIES_KEY = ["memories"];

/** A change after which all lists of memories are loaded again. */
export function useMemoryChange(change: () => Promise<unknown>) {
  const queries = useQueryClient();
  return useMutation({ mutationFn: change, onSettled: () => void queries.invalidateQueries({ queryKey: MEMORIES_KEY }) });
}

/** Makes a suggested memory one that prompts contain. */
export function acceptMemory(id: string) {
  return api.PATCH("/v1/memories/{id}", { params: { path: { id } }, body: { status: "active" } });
}

export function removeMemory(id: string) {
  return api.DELETE("/v1/memories/{id}", { params: { path: { id } } });
}
