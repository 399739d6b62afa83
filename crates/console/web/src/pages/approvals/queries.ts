// What is loaded of approvals. Queries are not sent while the tab is hidden.

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { isAdmin, useAccount } from "@/account";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import { useUserNames } from "@/pages/admin/user-names";
import { badgeText, refreshAfter, waitingCount } from "./approval";

export const APPROVALS_KEY = ["approvals"];
/** What waits for the user is counted up to this number. */
const COUNTED = 50;
const APPROVER_POLL_MS = 30_000;
/** A policy can name a user who has no grant. Such users are rare, and viewers have few requests a minute. */
const OTHERS_POLL_MS = 300_000;

export function useApproval(id: string) {
  return useQuery({
    queryKey: [...APPROVALS_KEY, "one", id],
    queryFn: () => body(api.GET("/v1/approvals/{id}", { params: { path: { id } } })),
    refetchInterval: ({ state }) => (state.status === "error" ? false : refreshAfter(state.data?.status)),
    staleTime: 0,
  });
}

/** The pending requests that the user may decide on; own requests are not among them. */
export function useInbox(enabled: boolean) {
  const isApprover = useAccount().grants.includes("approver");
  return useQuery({
    queryKey: [...APPROVALS_KEY, "inbox"],
    enabled: enabled && hasFeature("approvals"),
    queryFn: () => {
      const query = { role: "approver", status: "pending", limit: COUNTED } as const;
      return body(api.GET("/v1/approvals", { params: { query } }));
    },
    refetchInterval: isApprover ? APPROVER_POLL_MS : OTHERS_POLL_MS,
    staleTime: APPROVER_POLL_MS,
  });
}

/** The number of requests that wait for the user, as text; empty for none. */
export function useWaitingBadge(): string {
  const { id, grants } = useAccount();
  const isApprover = grants.includes("approver");
  const [isDue, setDue] = useState(isApprover);
  useEffect(() => {
    if (isApprover) return setDue(true);
    const timer = setTimeout(() => setDue(true), OTHERS_POLL_MS / 5);
    return () => clearTimeout(timer);
  }, [isApprover]);
  const { data } = useInbox(isDue);
  return data ? badgeText(waitingCount(data.data, id), data.has_more) : "";
}

/** Names a user who did something: `you`, the name where the reader may know it, or the id. */
export function usePeople(you: string): (id: string) => string {
  const account = useAccount();
  const names = useUserNames(isAdmin(account));
  return (id) => (id === account.id ? you : (names.get(id) ?? id));
}
