// Streams of server-sent events, read as they come, and read on after a dropped connection.

import { EventSourceParserStream } from "eventsource-parser/stream";
import { ApiError } from "./client";

/** Pauses between attempts to read on; the server keeps a run going for 30 s without a reader. */
const RETRY_DELAYS_MS = [300, 700, 1_500, 3_000, 5_000, 5_000, 5_000, 5_000];

/** The connection broke and could not be restored; what it told of may still go on. */
export class ConnectionLost extends Error {}

interface NumberedEvent<E> {
  id: string;
  event: E;
}

async function* eventsOf<E>(response: Response): AsyncGenerator<NumberedEvent<E>> {
  if (!response.body) return;
  const stream = response.body
    .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
    .pipeThrough(new EventSourceParserStream());
  for await (const { id, event, data } of stream) {
    if (event) yield { id: id ?? "", event: { name: event, data: JSON.parse(data) as unknown } as E };
  }
}

export interface EventSource<E> {
  /** Id of the last event that is known already. */
  after: string;
  /** Asks for the events after one; `undefined` if it cannot be asked any more. */
  open: (after: string) => Promise<Response> | undefined;
  /** Whether nothing follows this event. */
  isFinal: (event: E) => boolean;
  /** Ends the reading. */
  signal?: AbortSignal;
}

/** Waits, unless the reader has gone meanwhile. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Yields events up to the final one. After a dropped connection it goes on behind the last event that came. */
export async function* readToEnd<E>(source: EventSource<E>, first?: Response): AsyncGenerator<NumberedEvent<E>> {
  let { after } = source;
  let response = first;
  for (let attempt = 0; !source.signal?.aborted; ) {
    try {
      response ??= await source.open(after);
      if (!response) throw new ConnectionLost();
      for await (const { id, event } of eventsOf<E>(response)) {
        attempt = 0;
        if (id) after = id;
        yield { id, event };
        if (source.isFinal(event)) return;
      }
    } catch (error) {
      if (source.signal?.aborted) return;
      const mayPass = !(error instanceof ApiError) || error.status === 503 || error.status === 429;
      if (!mayPass || error instanceof ConnectionLost) throw error;
    }
    // The stream ended early, or the connection dropped.
    response = undefined;
    const delay = RETRY_DELAYS_MS[attempt++];
    if (delay === undefined) throw new ConnectionLost();
    await pause(delay, source.signal);
  }
}
