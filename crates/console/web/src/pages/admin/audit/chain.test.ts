// @vitest-environment node
import { describe, expect, it } from "vitest";
import { canonicalJson, parseJson } from "./canonical";
import { type ChainReport, fromHex, linesOf, verifyChain } from "./chain";
import { microsOf } from "./export-line";
// Three rows of both layouts and a checkpoint of the key whose seed is 32 times 7, computed by another implementation.
import fixture from "./export.fixture.ndjson?raw";

const PUBLIC_KEY = fromHex("ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
const OTHER_KEY = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

async function* each(lines: readonly string[]) {
  yield* lines;
}

const LINES = fixture.trim().split("\n");

function verify(lines: readonly string[], publicKey = PUBLIC_KEY): Promise<ChainReport> {
  return verifyChain(each(lines), { publicKey });
}

function codes({ findings }: ChainReport) {
  return findings.map(({ code, seq }) => `${code} ${seq ?? ""}`.trim());
}

describe("the check of the chain", () => {
  it("finds an untouched export intact, with and without the public key", async () => {
    const report = await verify(LINES);
    expect(report).toMatchObject({ entries: 3, lastSeq: 3, checkpoints: 1, signatures: "valid", findingCount: 0 });
    const unsigned = await verifyChain(each(LINES), {});
    expect(unsigned).toMatchObject({ checkpoints: 1, signatures: "notChecked", findingCount: 0 });
  });

  it.each([
    { what: "an edited row", lines: LINES.map((line) => line.replace("0.50", "0.5")), found: ["changed 1"] },
    { what: "a row that is gone", lines: [LINES[0], LINES[2], LINES[3]], found: ["missing 3"] },
    { what: "exchanged rows", lines: [LINES[1], LINES[0], LINES[2], LINES[3]], found: ["missing 2", "order 1"] },
    { what: "a missing end", lines: [LINES[0], LINES[1], LINES[3]], found: ["end 3"] },
    {
      what: "an entry whose row was deleted",
      lines: LINES.map((line, index) => (index === 1 ? line.replace('"event"', '"entry"') : line)),
      found: ["deleted 2"],
    },
    {
      what: "a moved moment",
      lines: LINES.map((line) => line.replace("10:53:21Z", "10:53:21.000001Z")),
      found: ["unlinked 2", "changed 2"],
    },
    {
      what: "a chain that was computed anew",
      lines: LINES.map((line, index) => (index === 3 ? line.replaceAll(/"chain_hash":"6/g, '"chain_hash":"7') : line)),
      found: ["signature 3"],
    },
  ])("finds $what", async ({ lines, found }) => {
    expect(codes(await verify(lines as string[]))).toEqual(found);
  });

  it("does not take another key's signature for the platform's", async () => {
    expect(codes(await verify(LINES, OTHER_KEY))).toEqual(["key"]);
  });

  it("goes on from where a resumed export begins", async () => {
    const { chain_hash, tenant_id } = JSON.parse(LINES[0] ?? "") as Record<string, string>;
    const start = JSON.stringify({ type: "start", tenant_id, seq: 1, chain_hash });
    expect(codes(await verify([start, ...LINES.slice(1)]))).toEqual([]);
    expect(codes(await verify([start.replace(/"seq":1/, '"seq":0'), ...LINES.slice(1)]))).toEqual(["missing 2"]);
  });
});

describe("canonicalJson", () => {
  it.each([
    ['{"bb":1,"a":2,"ä":3}', '{"a": 2, "bb": 1, "ä": 3}'],
    ['{"a":1,"a":2}', '{"a": 2}'],
    ["[1.50, -0.0, 1e3, 12.5e-3, 1.25e1]", "[1.50, -0.0, 1000, 0.0125, 12.5]"],
    ['"\\u0001\\u00e9\\/\\""', '"\\u0001é/\\""'],
    ["[[], {}, null, true]", "[[], {}, null, true]"],
  ])("of %s is as PostgreSQL prints it", (text, printed) => {
    expect(canonicalJson(parseJson(text))).toBe(printed);
  });

  it.each(["{", "[1,]", '{"a" 1}', "nope", ""])("refuses %s", (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });
});

describe("reading", () => {
  it("splits bytes into lines wherever the network cut them", async () => {
    const bytes = new TextEncoder().encode("é1\né2\n\né3");
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const lines = [];
    for await (const line of linesOf(stream)) lines.push(line);
    expect(lines).toEqual(["é1", "é2", "é3"]);
  });

  it("keeps microseconds of moments", () => {
    expect(microsOf("2025-11-30T10:53:20.123456Z")).toBe(1_764_500_000_123_456n);
    expect(microsOf("2025-11-30T11:53:20.5+01:00")).toBe(1_764_500_000_500_000n);
    expect(() => microsOf("yesterday")).toThrow(SyntaxError);
  });
});
