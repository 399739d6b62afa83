import { describe, expect, it, vi } from "vitest";
import { ApiError } from "./client";
import { ConnectionLost, readToEnd } from "./events";

interface TestEvent {
  name: string;
  data: { n: number };
}

function stream(...events: { id: number; name: string }[]): Response {
  const lines = events.map(({ id, name }) => `id: ${id}\nevent: ${name}\ndata: {"n": ${id}}\n\n`);
  return new Response([": keep-alive\n\n", ...lines].join(""));
}

const isFinal = ({ name }: TestEvent) => name === "end";

async function read(open: (after: string) => Promise<Response> | undefined, signal?: AbortSignal) {
  const numbers: number[] = [];
  for await (const { event } of readToEnd<TestEvent>({ after: "0", open, isFinal, signal })) numbers.push(event.data.n);
  return numbers;
}

describe("readToEnd", () => {
  it("goes on behind the last event where a stream broke, up to the final one", async () => {
    const open = vi
      .fn<(after: string) => Promise<Response>>()
      .mockResolvedValueOnce(stream({ id: 1, name: "a" }, { id: 2, name: "b" }))
      .mockRejectedValueOnce(new ApiError(503, "unavailable", "Later."))
      .mockResolvedValueOnce(stream({ id: 3, name: "end" }, { id: 4, name: "never" }));
    expect(await read(open)).toEqual([1, 2, 3]);
    expect(open.mock.calls.map(([after]) => after)).toEqual(["0", "2", "2"]);
  });

  it("gives up where the platform refuses, or nothing can be asked", async () => {
    await expect(read(() => Promise.reject(new ApiError(404, "not_found", "None.")))).rejects.toThrow("None.");
    await expect(read(() => undefined)).rejects.toThrow(ConnectionLost);
  });

  it("ends without an error when its reader has gone", async () => {
    const reading = new AbortController();
    const open = () => {
      reading.abort();
      return Promise.reject(new DOMException("", "AbortError"));
    };
    expect(await read(open, reading.signal)).toEqual([]);
  });
});
