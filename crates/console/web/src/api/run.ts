// A run: the events of one answer, read as they come, and read on after a dropped connection.

import { EventSourceParserStream } from "eventsource-parser/stream";
import { ApiError, send } from "./client";
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
  | { name: "run.finished"; data: Schemas["RunFinished"] & { unsupported?: TextRange[] } }
  | { name: "error"; data: { problem: Schemas["Problem"] } };

/** What to ask, as the API takes it. */
export type Question = Schemas["ChatMessage"];

/** Pauses between attempts to read on; the server keeps a run going for 30 s without a reader. */
const RETRY_DELAYS_MS = [300, 700, 1_500, 3_000, 5_000, 5_000, 5_000, 5_000];

/** The connection broke and could not be restored; the answer may still be written on. */
export class ConnectionLost extends Error {}

interface NumberedEvent {
  id: string;
  event: RunEvent;
}

async function* eventsOf(response: Response): AsyncGenerator<NumberedEvent> {
  if (!response.body) return;
  const stream = response.body
    .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
    .pipeThrough(new EventSourceParserStream());
  for await (const { id, event, data } of stream) {
    if (event) yield { id: id ?? "", event: { name: event, data: JSON.parse(data) } as RunEvent };
  }
}

function isFinal({ name }: RunEvent) {
  return name === "run.finished" || name === "error";
}

/** Asks a question in a conversation and yields the events of its run. */
export async function* ask(conversation: string, question: Question): AsyncGenerator<RunEvent> {
  const response = await send(`/v1/conversations/${conversation}/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(question),
  });
  yield* readToEnd(response, undefined, "0");
}

/** Yields the events of a run from the beginning: those that came already, then those that come. */
export async function* follow(run: string): AsyncGenerator<RunEvent> {
  yield* readToEnd(undefined, run, "0");
}

/** Stops a run; its events end with `finish_reason: "cancelled"`. */
export async function cancel(run: string) {
  await send(`/v1/runs/${run}/cancel`, { method: "POST" });
}

async function* readToEnd(
  response: Response | undefined,
  run: string | undefined,
  after: string,
): AsyncGenerator<RunEvent> {
  let attempt = 0;
  for (;;) {
    try {
      if (!response) {
        if (!run) throw new ConnectionLost();
        response = await send(`/v1/runs/${run}/events`, { headers: { "last-event-id": after } });
      }
      for await (const { id, event } of eventsOf(response)) {
        attempt = 0;
        if (id) after = id;
        if (event.name === "run.started") run = event.data.run_id;
        yield event;
        if (isFinal(event)) return;
      }
    } catch (error) {
      const mayPass = !(error instanceof ApiError) || error.status === 503 || error.status === 429;
      if (!mayPass) throw error;
    }
    // The stream ended early, or the connection dropped.
    response = undefined;
    const delay = RETRY_DELAYS_MS[attempt++];
    if (run === undefined || delay === undefined) throw new ConnectionLost();
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
}
