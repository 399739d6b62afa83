// Decides on a request, with a new login where the platform asks for one.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { Approval } from "@/api/types";
import { withRecentSignIn } from "@/auth/step-up";
import { type Verdict, isOutOfDate } from "./approval";
import { APPROVALS_KEY } from "./queries";

export interface DecisionDraft {
  verdict: Verdict;
  comment: string;
}

/** Sends a decision on what was read: the digest of `read` goes with it. */
export function useDecision(read: Approval) {
  const queries = useQueryClient();
  const reload = () => queries.invalidateQueries({ queryKey: APPROVALS_KEY });
  return useMutation({
    mutationFn: ({ verdict, comment }: DecisionDraft) => {
      const params = { path: { id: read.id } };
      const decision = { decision: verdict, digest: read.digest, comment: comment.trim() || undefined };
      return withRecentSignIn(() => body(api.POST("/v1/approvals/{id}/decision", { params, body: decision })));
    },
    onSuccess: (approval) => {
      queries.setQueryData([...APPROVALS_KEY, "one", read.id], approval);
      void reload();
    },
    onError: (error) => {
      if (isOutOfDate(error)) void reload();
    },
  });
}

export type Decision = ReturnType<typeof useDecision>;

/** Withdraws the user's own request. */
export function useWithdrawal(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => api.POST("/v1/approvals/{id}/cancel", { params: { path: { id } } }),
    onSettled: () => void queries.invalidateQueries({ queryKey: APPROVALS_KEY }),
  });
}
