import { QueryClient, QueryClientProvider, focusManager } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AccountProvider } from "@/account";
import { api } from "@/api/client";
import { settings } from "@/settings";
import { useWaitingBadge } from "./queries";

const POLL_MS = 30_000;

function Badge() {
  return <output>{useWaitingBadge()}</output>;
}

function Providers({ children }: { children: ReactNode }) {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return (
    <QueryClientProvider client={queries}>
      <AccountProvider>{children}</AccountProvider>
    </QueryClientProvider>
  );
}

/** A server with one request that waits, which counts how often it is asked. */
function serve(grants: string[]) {
  const account = { id: "ines", role: "user", grants, plant_mode: "normal" };
  const waiting = { id: "1", status: "pending", requested_by: "ana", decisions: [] };
  const asked = { inbox: 0 };
  vi.spyOn(api, "GET").mockImplementation(((path: string) => {
    const isInbox = path === "/v1/approvals";
    if (isInbox) asked.inbox += 1;
    return Promise.resolve({ data: isInbox ? { data: [waiting], has_more: false } : account });
  }) as unknown as typeof api.GET);
  return asked;
}

async function pass(milliseconds: number) {
  await act(() => vi.advanceTimersByTimeAsync(milliseconds));
}

beforeEach(() => {
  vi.useFakeTimers();
  settings.resources.push("approvals");
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.restoreAllMocks();
  focusManager.setFocused(undefined);
  settings.resources.pop();
});

describe("the number on the link", () => {
  it("is asked for again and again, but not while the tab is hidden", async () => {
    const asked = serve(["approver"]);
    render(<Badge />, { wrapper: Providers });
    await pass(1_000);
    expect(screen.getByRole("status").textContent).toBe("1");
    await pass(2 * POLL_MS);
    expect(asked.inbox).toBe(3);
    act(() => focusManager.setFocused(false));
    await pass(10 * POLL_MS);
    expect(asked.inbox).toBe(3);
  });

  it("is not asked for at once by users without the grant, who have few requests a minute", async () => {
    const asked = serve([]);
    render(<Badge />, { wrapper: Providers });
    await pass(POLL_MS);
    expect(asked.inbox).toBe(0);
    await pass(2 * POLL_MS);
    expect(asked.inbox).toBe(1);
    await pass(1_000);
    expect(screen.getByRole("status").textContent).toBe("1");
  });
});
