// A run: the events of one answer, read as they come, and read on after a dropped connection.

import { send } from "./client";
import { readToEnd } from "./events";
import type { Citation, TextRange } from "./types";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type RunEvent =
  | { name: "run.started"; data: Schemas["RunStarted"] & { warnings?: Schemas["RunWarning"][] } }
  | { name: "message.delta"; data: { text: string } }
  | { name: "message.reasoning"; data: { text: string } }
  | { name: "tool.started"; data: Schemas["ToolStarted"] }
  | { name: "tool.finished"; data: Schemas["ToolFinished"] }
  | { name: "citation"; data: Citation }
  | { name: "approval.required"; data: Schemas["ApprovalRequired"] }
  | { name: "step.started"; data: Schemas["StepStarted"] }
  | { name: "step.finished"; data: Schemas["StepFinished"] }
  | { name: "run.finished"; data: Schemas["RunFinished"] & { unsupported?: TextRange[] } }
  | { name: "error"; data: { problem: Schemas["Problem"] } };

/** What to ask, as the API takes it. */
export type Question = Schemas["ChatMessage"];

function isFinal({ name }: RunEvent) {
  return name === "run.finished" || name === "error";
}

/** The events of a run; which one it is, its first event tells unless it is known already. */
async function* eventsOfRun(response: Response | undefined, known?: string): AsyncGenerator<RunEvent> {
  let run = known;
  const open = (after: string) => {
    const headers = { "last-event-id": after };
    return run ? send(`/v1/runs/${run}/events`, { headers }) : undefined;
  };
  for await (const { event } of readToEnd<RunEvent>({ after: "0", open, isFinal }, response)) {
    if (event.name === "run.started") run = event.data.run_id;
    yield event;
  }
}

/** Asks a question in a conversation and yields the events of its run. */
export async function* ask(conversation: string, question: Question): AsyncGenerator<RunEvent> {
  const response = await send(`/v1/conversations/${conversation}/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(question),
  });
  yield* eventsOfRun(response);
}

/** Yields the events of a run from the beginning: those that came already, then those that come. */
export async function* follow(run: string): AsyncGenerator<RunEvent> {
  yield* eventsOfRun(undefined, run);
}

/** Stops a run; its events end with `finish_reason: "cancelled"`. */
export async function cancel(run: string) {
  await send(`/v1/runs/${run}/cancel`, { method: "POST" });
}
