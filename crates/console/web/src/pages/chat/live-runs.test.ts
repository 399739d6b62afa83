import { describe, expect, it } from "vitest";
import type { RunEvent } from "@/api/run";
import { type LiveRun, advance } from "./live-runs";

const start: LiveRun = {
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

function play(...events: unknown[]) {
  return (events as RunEvent[]).reduce(advance, start);
}

describe("advance", () => {
  it("puts the pieces of an answer together", () => {
    const run = play(
      { name: "run.started", data: { run_id: "r", message_id: "m", warnings: [{ code: "pii", pattern: "email" }] } },
      { name: "tool.started", data: { call_id: "1", name: "rag_search", query: "bolts P-101" } },
      { name: "tool.finished", data: { call_id: "1", name: "rag_search", status: "success" } },
      { name: "message.delta", data: { text: "45 " } },
      { name: "message.delta", data: { text: "Nm" } },
      { name: "run.finished", data: { finish_reason: "stop", unsupported: [{ start: 0, end: 2 }] } },
    );
    expect(run).toMatchObject({
      runId: "r",
      messageId: "m",
      text: "45 Nm",
      status: "ended",
      privacyWarnings: ["email"],
      tools: [{ id: "1", query: "bolts P-101", status: "success" }],
      unsupported: [{ start: 0, end: 2 }],
    });
  });

  it("keeps what was written when it breaks off", () => {
    const problem = { code: "model_unavailable", detail: "The model broke off." };
    const run = play({ name: "message.delta", data: { text: "4" } }, { name: "error", data: { problem } });
    expect(run).toMatchObject({ text: "4", status: "failed", error: problem });
  });

  it("has what waits for approval, and how the answer came about", () => {
    const approval = { approval_id: "a", tool: "plant_system_write", target: "P-101A", expires_at: "2030-01-01T00:00:00Z" };
    const run = play(
      { name: "run.started", data: { run_id: "r", message_id: "m", model: "heavy", escalated: "length" } },
      { name: "approval.required", data: approval },
      { name: "run.finished", data: { degraded: true, fallback: true, left_out: 2, unsupported: [] } },
    );
    expect(run).toMatchObject({
      approvals: [approval],
      tier: "heavy",
      escalated: "length",
      degraded: true,
      fallback: true,
      leftOut: 2,
      status: "ended",
    });
  });

  it("tells who works on which part of the question", () => {
    const run = play(
      { name: "step.started", data: { step_id: "1", agent: "calculator", title: "The sum" } },
      { name: "step.started", data: { step_id: "2", agent: "document_analyst", title: "The limit" } },
      { name: "step.finished", data: { step_id: "1", status: "succeeded" } },
    );
    expect(run.steps).toEqual([
      { id: "1", agent: "calculator", title: "The sum", status: "succeeded" },
      { id: "2", agent: "document_analyst", title: "The limit", status: "running" },
    ]);
  });

  it("passes over events of later versions", () => {
    expect(play({ name: "step.postponed", data: {} })).toEqual(start);
  });
});
