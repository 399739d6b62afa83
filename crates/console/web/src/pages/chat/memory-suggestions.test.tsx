import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AccountProvider } from "@/account";
import { api } from "@/api/client";
import { MemorySuggestions } from "./memory-suggestions";

const DELAY_MS = 11_000;

/** A server with a suggestion of this conversation and one of another, which counts how often it is asked. */
function serve(role: string) {
  const asked = { memories: 0, accepted: [] as unknown[] };
  const suggestion = (id: string, conversation: string) => ({ id, content: `Fact ${id}`, source: { conversation_id: conversation } });
  let suggestions = [suggestion("1", "here"), suggestion("2", "elsewhere")];
  vi.spyOn(api, "GET").mockImplementation(((path: string) => {
    if (path !== "/v1/memories") return Promise.resolve({ data: { id: "ana", role, grants: [] } });
    asked.memories += 1;
    return Promise.resolve({ data: { data: suggestions } });
  }) as unknown as typeof api.GET);
  vi.spyOn(api, "PATCH").mockImplementation(((_: string, { params, body }: { params: { path: { id: string } }; body: unknown }) => {
    asked.accepted.push({ id: params.path.id, body });
    suggestions = suggestions.filter(({ id }) => id !== params.path.id);
    return Promise.resolve({ data: {} });
  }) as unknown as typeof api.PATCH);
  return asked;
}

function page(queries: QueryClient, isWriting: boolean) {
  return (
    <QueryClientProvider client={queries}>
      <AccountProvider>
        <MemorySuggestions conversation="here" isWriting={isWriting} />
      </AccountProvider>
    </QueryClientProvider>
  );
}

async function pass(milliseconds: number) {
  await act(() => vi.advanceTimersByTimeAsync(milliseconds));
}

/** Shows the conversation until its answer ended and the delay is over. */
async function answer() {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const { rerender } = render(page(queries, true));
  await pass(100);
  rerender(page(queries, false));
  await pass(DELAY_MS - 100);
  expect(screen.queryByRole("listitem")).toBeNull();
  await pass(200);
  // What the timer started is rendered at the end of `act`, so the request is answered in the next one.
  await pass(100);
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("suggested memories", () => {
  it("of the conversation are shown after an answer, and gone when they are accepted", async () => {
    const asked = serve("user");
    await answer();
    expect(screen.getAllByRole("listitem")).toHaveLength(1);
    expect(screen.getByText("Fact 1")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Accept" }));
    await pass(100);
    expect(asked.accepted).toEqual([{ id: "1", body: { status: "active" } }]);
    expect(screen.queryByRole("listitem")).toBeNull();
  });

  it("are not asked for without an answer, nor for viewers", async () => {
    const asked = serve("user");
    render(page(new QueryClient(), false));
    await pass(2 * DELAY_MS);
    expect(asked.memories).toBe(0);
    cleanup();
    const viewers = serve("viewer");
    await answer();
    expect(viewers.memories).toBe(0);
  });
});
