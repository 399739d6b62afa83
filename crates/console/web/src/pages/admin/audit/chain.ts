// Verifies the hash chain of an audit export, as `platform-server audit verify --export` does, with Web Cryptography.

import { type Bytes, type ChainEntry, type ExportLine, type SignedRecord, parseLine } from "./export-line";

export type FindingCode =
  | "changed"
  | "deleted"
  | "missing"
  | "order"
  | "unlinked"
  | "rewritten"
  | "end"
  | "signature"
  | "key"
  | "unsigned";

export interface Finding {
  seq?: number;
  code: FindingCode;
}

export interface ChainReport {
  entries: number;
  lastSeq: number;
  /** Rows that an administrator of the database took out with a signed record. */
  purged: number;
  checkpoints: number;
  lastCheckpoint?: string;
  signatures: "valid" | "notChecked" | "unsupported";
  /** The first ones. */
  findings: Finding[];
  findingCount: number;
}

const MAX_FINDINGS = 20;
/** A longer chain without a checkpoint had some: they are signed at least once a minute. */
const MAX_UNSIGNED_MICROS = 600_000_000n;

const encoder = new TextEncoder();

export function fromHex(hex: string): Bytes | undefined {
  if (hex.length % 2 || !/^[0-9a-f]*$/i.test(hex)) return undefined;
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sha256(bytes: Bytes): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function concat(...parts: Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value);
  return bytes;
}

/** The hash that a tenant's chain begins with. */
export function genesis(tenant: string): Promise<string> {
  return sha256(concat(encoder.encode("platform-audit-chain/1"), fromHex(tenant.replaceAll("-", "")) ?? new Uint8Array()));
}

/** The hash of the chain after an entry. */
export function nextHash(previous: string, { seq, micros, rowHash }: Pick<ChainEntry, "seq" | "micros" | "rowHash">) {
  const [before, row] = [fromHex(previous) ?? new Uint8Array(), fromHex(rowHash) ?? new Uint8Array()];
  return sha256(concat(before, bigEndian(BigInt(seq)), bigEndian(micros), row));
}

/** A trusted key; its id is the beginning of its hash. */
interface TrustedKey {
  id: string;
  key: CryptoKey;
}

export class UnsupportedSignatures extends Error {}

export async function importKey(publicKey: Bytes): Promise<TrustedKey> {
  const id = (await sha256(publicKey)).slice(0, 16);
  try {
    return { id, key: await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]) };
  } catch {
    throw new UnsupportedSignatures();
  }
}

/** The verification of one chain, line by line. */
export class ChainVerifier {
  readonly report: ChainReport;
  private head: string | undefined;
  private isStarted = false;
  private purgedBefore: bigint | undefined;
  private readonly span: { first?: bigint; last: bigint } = { last: 0n };
  /** Hashes since the last checkpoint: checkpoints follow the entries that they are of. */
  private recent = new Map<number, string>();
  private isRecentSigned = false;
  /** Checkpoints of other keys than the given one. */
  private untrusted = 0;
  /** The farthest checkpoint whose entry did not come. */
  private beyondEnd = 0;

  constructor(
    private readonly key: TrustedKey | undefined,
    signatures: ChainReport["signatures"],
  ) {
    this.report = { entries: 0, lastSeq: 0, purged: 0, checkpoints: 0, signatures, findings: [], findingCount: 0 };
  }

  private find(code: FindingCode, seq?: number) {
    this.report.findingCount += 1;
    if (this.report.findings.length < MAX_FINDINGS) this.report.findings.push({ code, seq });
  }

  async add(line: ExportLine) {
    if (line.kind === "entry") await this.addEntry(line);
    else if (line.kind === "checkpoint") await this.addCheckpoint(line);
    else if (line.kind === "retirement") await this.addRetirement(line);
    else if (!this.isStarted) [this.head, this.report.lastSeq] = [line.chainHash, line.seq];
  }

  private async addEntry(entry: ChainEntry) {
    const { report } = this;
    const { seq, chainHash } = entry;
    if (this.isRecentSigned) {
      this.recent.clear();
      this.isRecentSigned = false;
    }
    this.head ??= await genesis(entry.tenant);
    this.recent.set(seq, chainHash);
    // A purge keeps the entry that the next one follows.
    if (seq === report.lastSeq && report.entries === 0 && this.purgedBefore !== undefined) {
      if (chainHash !== this.head) this.find("unlinked", seq);
      return;
    }
    this.isStarted = true;
    report.entries += 1;
    if (seq <= report.lastSeq) return this.find("order", seq);
    if (seq !== report.lastSeq + 1) this.find("missing", seq);
    else if ((await nextHash(this.head, entry)) !== chainHash) this.find("unlinked", seq);
    if (entry.canonical === undefined) {
      if (this.purgedBefore !== undefined && entry.micros < this.purgedBefore) report.purged += 1;
      else this.find("deleted", seq);
    } else if ((await sha256(encoder.encode(entry.canonical))) !== entry.rowHash) {
      this.find("changed", seq);
    }
    [report.lastSeq, this.head] = [seq, chainHash];
    this.span.first ??= entry.micros;
    this.span.last = entry.micros;
  }

  /** Whether a record may be relied on; without a key they all are. */
  private async isTrusted({ seq, keyId, signature, message }: SignedRecord): Promise<boolean> {
    if (!this.key) return true;
    if (keyId !== this.key.id) return false;
    const bytes = fromHex(signature);
    const isValid = bytes && (await crypto.subtle.verify("Ed25519", this.key.key, bytes, encoder.encode(message)));
    if (!isValid) this.find("signature", seq);
    return Boolean(isValid);
  }

  private async addCheckpoint(record: SignedRecord) {
    this.isRecentSigned = true;
    // Checkpoints of a former key are no finding as long as there are others.
    if (this.key && record.keyId !== this.key.id) this.untrusted += 1;
    if (!(await this.isTrusted(record))) return;
    const { seq, chainHash, signedAt } = record;
    const known = this.recent.get(seq);
    if (known === undefined) {
      if (seq > this.report.lastSeq) this.beyondEnd = Math.max(this.beyondEnd, seq);
    } else if (known === chainHash) {
      this.report.checkpoints += 1;
      this.report.lastCheckpoint = signedAt;
    } else {
      this.find("rewritten", seq);
    }
  }

  private async addRetirement(record: SignedRecord) {
    if (this.key && record.keyId !== this.key.id) this.find("key", record.seq);
    if (this.isStarted || !(await this.isTrusted(record))) return;
    const before = record.beforeMicros ?? 0n;
    if (this.purgedBefore !== undefined && before <= this.purgedBefore) return;
    this.purgedBefore = before;
    [this.head, this.report.lastSeq] = [record.chainHash, record.seq];
  }

  finish(): ChainReport {
    const { report, span } = this;
    const isLong = span.first !== undefined && span.last - span.first > MAX_UNSIGNED_MICROS;
    if (this.untrusted > 0 && report.checkpoints === 0) this.find("key");
    if (isLong && report.checkpoints === 0 && this.beyondEnd === 0 && report.findingCount === 0) this.find("unsigned");
    if (this.beyondEnd > report.lastSeq) this.find("end", this.beyondEnd);
    return report;
  }
}

/** Splits a stream of bytes into lines. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      yield* lines.filter((line) => line.trim() !== "");
      if (done) break;
    }
    if (rest.trim() !== "") yield rest;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

interface VerifyOptions {
  /** The platform's public key; without it hashes alone are checked. */
  publicKey?: Bytes;
  onProgress?: (entries: number) => void;
}

const PROGRESS_ENTRIES = 500;

export async function verifyChain(lines: AsyncIterable<string>, { publicKey, onProgress }: VerifyOptions): Promise<ChainReport> {
  let [key, signatures]: [TrustedKey | undefined, ChainReport["signatures"]] = [undefined, "notChecked"];
  if (publicKey) {
    try {
      [key, signatures] = [await importKey(publicKey), "valid"];
    } catch {
      signatures = "unsupported";
    }
  }
  const verifier = new ChainVerifier(key, signatures);
  for await (const line of lines) {
    await verifier.add(parseLine(line));
    if (verifier.report.entries % PROGRESS_ENTRIES === 0) onProgress?.(verifier.report.entries);
  }
  return verifier.finish();
}
