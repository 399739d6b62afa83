// Answers that are being written. They go on while the user looks at other pages.

import { useSyncExternalStore } from "react";
import { ApiError } from "@/api/client";
import { ConnectionLost } from "@/api/events";
import { type Question, type RunEvent, ask, cancel, follow } from "@/api/run";
import type { Citation, StepStatus, TextRange } from "@/api/types";
import { tabState } from "@/lib/storage";

export interface ToolCall {
  id: string;
  name: string;
  /** The words that are searched, where it searches. */
  query?: string | null;
  status: string;
}

/** A part of the question that a specialist works on. */
export interface RunStep {
  id: string;
  agent: string;
  title: string;
  status: StepStatus;
}

/** A write that the model asked for and that waits for people. */
export type ApprovalRequest = Extract<RunEvent, { name: "approval.required" }>["data"];

/** What only the events of a run tell, and not the stored answer. */
export interface RunFacts {
  /** Which models answer: `fast` or `heavy`. */
  tier?: string;
  /** Why the larger models answer, although the question did not ask for them. */
  escalated?: string | null;
  /** Whether another model answered than the one that is meant to. */
  fallback?: boolean;
  /** How many sources were left out because the model may not see them. */
  leftOut?: number;
}

export interface LiveRun extends RunFacts {
  question?: Question;
  runId?: string;
  messageId?: string;
  text: string;
  reasoning: string;
  citations: Citation[];
  tools: ToolCall[];
  steps: RunStep[];
  approvals: ApprovalRequest[];
  unsupported: TextRange[];
  degraded?: boolean;
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
  steps: [],
  approvals: [],
  unsupported: [],
  privacyWarnings: [],
  status: "writing",
};

/** The run after one more event. */
export function advance(run: LiveRun, event: RunEvent): LiveRun {
  switch (event.name) {
    case "run.started": {
      const privacyWarnings = (event.data.warnings ?? []).map(({ pattern }) => pattern);
      const { run_id, message_id, model, escalated } = event.data;
      return { ...run, runId: run_id, messageId: message_id, tier: model, escalated, privacyWarnings };
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
    case "step.started": {
      const { step_id, agent, title } = event.data;
      return { ...run, steps: [...run.steps, { id: step_id, agent, title, status: "running" }] };
    }
    case "step.finished": {
      const { step_id, status } = event.data;
      return { ...run, steps: run.steps.map((step) => (step.id === step_id ? { ...step, status } : step)) };
    }
    case "citation":
      return { ...run, citations: [...run.citations, event.data] };
    case "approval.required":
      return { ...run, approvals: [...run.approvals, event.data] };
    case "run.finished": {
      const { unsupported = [], degraded, fallback, left_out } = event.data;
      return { ...run, status: "ended", unsupported, degraded, fallback, leftOut: left_out };
    }
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

/** What was told of answers that are stored by now, by message. */
const facts = new Map<string, RunFacts>();
/** Keeps the ids of an answer's approvals in this tab, so that a reload shows them again. */
const APPROVALS = "approvals.";

function remember({ messageId, tier, escalated, fallback, leftOut, approvals }: LiveRun) {
  if (!messageId) return;
  facts.set(messageId, { tier, escalated, fallback, leftOut });
  if (approvals.length > 0) tabState.set(`${APPROVALS}${messageId}`, approvals.map(({ approval_id }) => approval_id).join(" "));
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
  remember(run);
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

  /** What the run of a stored answer told, if it was followed in this page. */
  facts: (message: string): RunFacts => facts.get(message) ?? {},

  /** The ids of the approvals that a stored answer led to, if it was followed in this tab. */
  approvals: (message: string): string[] => tabState.get(`${APPROVALS}${message}`)?.split(" ") ?? [],

  forgetAll() {
    runs.clear();
    facts.clear();
    tabState.clear(APPROVALS);
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
