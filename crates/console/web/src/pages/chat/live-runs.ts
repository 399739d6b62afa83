// Answers that are being written. They go on while the user looks at other pages.

import { useSyncExternalStore } from "react";
import { ApiError } from "@/api/client";
import { ConnectionLost, type Question, type RunEvent, ask, cancel, follow } from "@/api/run";
import type { Citation, TextRange } from "@/api/types";
import { tabState } from "@/lib/storage";

export interface ToolCall {
  id: string;
  name: string;
  /** The words that are searched, where it searches. */
  query?: string | null;
  status: string;
}

export interface LiveRun {
  question?: Question;
  runId?: string;
  messageId?: string;
  text: string;
  reasoning: string;
  citations: Citation[];
  tools: ToolCall[];
  unsupported: TextRange[];
  /** Names of the privacy patterns that the message matches. */
  privacyWarnings: string[];
  status: "writing" | "stopping" | "ended" | "failed";
  error?: { code: string; detail?: string };
}

const runs = new Map<string, LiveRun>();
const listeners = new Set<() => void>();

const EMPTY: LiveRun = {
  text: "",
  reasoning: "",
  citations: [],
  tools: [],
  unsupported: [],
  privacyWarnings: [],
  status: "writing",
};

/** The run after one more event. */
export function advance(run: LiveRun, event: RunEvent): LiveRun {
  switch (event.name) {
    case "run.started": {
      const privacyWarnings = (event.data.warnings ?? []).map(({ pattern }) => pattern);
      return { ...run, runId: event.data.run_id, messageId: event.data.message_id, privacyWarnings };
    }
    case "message.delta":
      return { ...run, text: run.text + event.data.text };
    case "message.reasoning":
      return { ...run, reasoning: run.reasoning + event.data.text };
    case "tool.started": {
      const { call_id, name, query } = event.data;
      return { ...run, tools: [...run.tools, { id: call_id, name, query, status: "running" }] };
    }
    case "tool.finished": {
      const { call_id, status } = event.data;
      return { ...run, tools: run.tools.map((tool) => (tool.id === call_id ? { ...tool, status } : tool)) };
    }
    case "citation":
      return { ...run, citations: [...run.citations, event.data] };
    case "run.finished":
      return { ...run, status: "ended", unsupported: event.data.unsupported ?? [] };
    case "error": {
      const { code, detail } = event.data.problem;
      return { ...run, status: "failed", error: { code, detail } };
    }
    default:
      return run;
  }
}

function set(conversation: string, run: LiveRun | undefined) {
  if (run) runs.set(conversation, run);
  else runs.delete(conversation);
  for (const listener of listeners) listener();
}

function errorOf(error: unknown): LiveRun["error"] {
  if (error instanceof ApiError) return { code: error.code, detail: error.message };
  if (error instanceof ConnectionLost || error instanceof TypeError) return { code: "connection" };
  return { code: "unknown", detail: error instanceof Error ? error.message : undefined };
}

async function consume(conversation: string, start: LiveRun, events: AsyncGenerator<RunEvent>): Promise<LiveRun> {
  let run = start;
  set(conversation, run);
  try {
    for await (const event of events) {
      const stopping = runs.get(conversation)?.status === "stopping" && run.status === "writing";
      run = advance(stopping ? { ...run, status: "stopping" } : run, event);
      if (event.name === "run.started") tabState.set(`run.${conversation}`, event.data.run_id);
      set(conversation, run);
    }
  } catch (error) {
    run = { ...run, status: "failed", error: errorOf(error) };
    set(conversation, run);
  }
  // After a lost connection the run may still be followed from where the conversation is opened next.
  if (run.error?.code !== "connection") tabState.set(`run.${conversation}`, null);
  return run;
}

export const liveRuns = {
  get: (conversation: string) => runs.get(conversation),

  /** Asks, and resolves once the answer is complete or has failed. */
  start: (conversation: string, question: Question) =>
    consume(conversation, { ...EMPTY, question }, ask(conversation, question)),

  /** Follows the answer that this tab asked for before it was reloaded; `undefined` if there is none. */
  resume(conversation: string): Promise<LiveRun> | undefined {
    const run = tabState.get(`run.${conversation}`);
    if (!run || runs.has(conversation)) return undefined;
    return consume(conversation, { ...EMPTY, runId: run }, follow(run));
  },

  async stop(conversation: string) {
    const run = runs.get(conversation);
    if (!run?.runId || run.status !== "writing") return;
    set(conversation, { ...run, status: "stopping" });
    await cancel(run.runId).catch(() => undefined);
  },

  /** Forgets a run, whose message the conversation has by now. */
  forget: (conversation: string) => set(conversation, undefined),

  forgetAll() {
    runs.clear();
    tabState.clear("run.");
  },
};

export function useLiveRun(conversation: string | undefined): LiveRun | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => (conversation ? runs.get(conversation) : undefined),
  );
}
