// The lines of an audit export, and the bytes that their hashes and signatures cover (ADR 30).

import { type Json, JsonNumber, canonicalJson, parseJson } from "./canonical";

export type Bytes = Uint8Array<ArrayBuffer>;

export interface ChainEntry {
  kind: "entry";
  tenant: string;
  seq: number;
  micros: bigint;
  rowHash: string;
  chainHash: string;
  /** What the row's hash covers; missing if the row is not in the log any more. */
  canonical?: string;
}

export interface SignedRecord {
  kind: "checkpoint" | "retirement";
  seq: number;
  chainHash: string;
  signedAt: string;
  /** Of a retirement: rows from before this moment are gone. */
  beforeMicros?: bigint;
  keyId: string;
  signature: string;
  /** What is signed. */
  message: string;
}

/** Where a resumed export begins. */
export interface ExportStart {
  kind: "start";
  seq: number;
  chainHash: string;
}

export type ExportLine = ChainEntry | SignedRecord | ExportStart;

/** Columns of a row in the order of the hash; those of uuids, texts and numbers are written as they are. */
const COLUMNS_BEFORE = ["event_type", "resource_type", "resource_id", "model", "tools_used", "request_hash", "result_status"];

/** Microseconds since 1970 of an RFC 3339 timestamp in UTC. */
export function microsOf(timestamp: string): bigint {
  const match = /^(.*T\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(timestamp);
  const seconds = match ? Date.parse(`${match[1]}${match[3]}`) : NaN;
  if (!match || Number.isNaN(seconds)) throw new SyntaxError(`no timestamp: ${timestamp}`);
  return BigInt(seconds) * 1_000n + BigInt((match[2] ?? "").padEnd(6, "0").slice(0, 6));
}

function text(line: Map<string, Json>, name: string): string {
  const value = line.get(name);
  if (typeof value !== "string") throw new SyntaxError(`the line has no ${name}`);
  return value;
}

function number(line: Map<string, Json>, name: string): number {
  const value = line.get(name);
  if (!(value instanceof JsonNumber)) throw new SyntaxError(`the line has no ${name}`);
  return Number(value.text);
}

function canonicalRow(line: Map<string, Json>, micros: bigint): string {
  const column = (name: string): Json => line.get(name) ?? null;
  const layout = line.get("layout") ?? new JsonNumber("1");
  // Rows of the first layout had no session.
  const hasSession = !(layout instanceof JsonNumber && layout.text === "1") || column("session_id") !== null;
  return canonicalJson([
    layout,
    column("tenant_id"),
    column("id"),
    column("user_id"),
    ...(hasSession ? [column("session_id")] : []),
    column("conversation_id"),
    ...COLUMNS_BEFORE.map(column),
    column("latency_ms"),
    column("metadata"),
    new JsonNumber(String(micros)),
    column("correlation_id"),
    column("request_id"),
    column("phase"),
  ]);
}

function entry(line: Map<string, Json>, hasRow: boolean): ChainEntry {
  const micros = microsOf(text(line, "created_at"));
  return {
    kind: "entry",
    tenant: text(line, "tenant_id"),
    seq: number(line, "seq"),
    micros,
    rowHash: text(line, "row_hash"),
    chainHash: text(line, "chain_hash"),
    canonical: hasRow ? canonicalRow(line, micros) : undefined,
  };
}

function checkpoint(line: Map<string, Json>): SignedRecord {
  const [seq, chainHash, signedAt] = [number(line, "seq"), text(line, "chain_hash"), text(line, "at")];
  const message = ["platform-audit-checkpoint/1", text(line, "tenant_id"), seq, chainHash, microsOf(signedAt), ""].join("\n");
  return { kind: "checkpoint", seq, chainHash, signedAt, keyId: text(line, "key_id"), signature: text(line, "signature"), message };
}

function retirement(line: Map<string, Json>): SignedRecord {
  const [seq, chainHash, signedAt] = [number(line, "through_seq"), text(line, "chain_hash"), text(line, "at")];
  const beforeMicros = microsOf(text(line, "before"));
  const parts = [text(line, "tenant_id"), seq, chainHash, beforeMicros, number(line, "rows"), microsOf(signedAt), ""];
  const message = ["platform-audit-retirement/1", ...parts].join("\n");
  const [keyId, signature] = [text(line, "key_id"), text(line, "signature")];
  return { kind: "retirement", seq, chainHash, signedAt, beforeMicros, keyId, signature, message };
}

export function parseLine(json: string): ExportLine {
  const line = parseJson(json);
  if (!(line instanceof Map)) throw new SyntaxError("the line is no object");
  const kind = line.get("type");
  if (kind === "event") return entry(line, true);
  if (kind === "entry") return entry(line, false);
  if (kind === "checkpoint") return checkpoint(line);
  if (kind === "retirement") return retirement(line);
  if (kind === "start") return { kind, seq: number(line, "seq"), chainHash: text(line, "chain_hash") };
  throw new SyntaxError(`unknown type of line: ${String(kind)}`);
}
