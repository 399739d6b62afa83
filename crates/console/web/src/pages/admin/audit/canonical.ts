// JSON as PostgreSQL prints `jsonb`: what the hash of a row of the audit log covers. Numbers keep their digits, which
// JSON.parse would not let them.

/** A number, as it is written. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

export type Json = null | boolean | string | JsonNumber | Json[] | Map<string, Json>;

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

class Parser {
  private at = 0;
  constructor(private readonly text: string) {}

  private next(): { mark?: string; value?: Json } {
    TOKEN.lastIndex = this.at;
    const match = TOKEN.exec(this.text);
    if (!match) throw new SyntaxError(`no JSON at ${this.at}`);
    this.at = TOKEN.lastIndex;
    const [, mark, string, number, word] = match;
    if (mark) return { mark };
    if (string) return { value: JSON.parse(string) as string };
    if (number) return { value: new JsonNumber(number) };
    return { value: word === "null" ? null : word === "true" };
  }

  private peek(mark: string): boolean {
    const before = this.at;
    if (this.next().mark === mark) return true;
    this.at = before;
    return false;
  }

  private expect(mark: string) {
    if (!this.peek(mark)) throw new SyntaxError(`no ${mark} at ${this.at}`);
  }

  value(): Json {
    const { mark, value } = this.next();
    if (mark === "[") return this.array();
    if (mark === "{") return this.object();
    if (value === undefined) throw new SyntaxError(`unexpected ${mark} at ${this.at}`);
    return value;
  }

  private array(): Json[] {
    const items: Json[] = [];
    if (this.peek("]")) return items;
    do items.push(this.value());
    while (this.peek(","));
    this.expect("]");
    return items;
  }

  private object(): Map<string, Json> {
    const members = new Map<string, Json>();
    if (this.peek("}")) return members;
    do {
      const { value: name } = this.next();
      if (typeof name !== "string") throw new SyntaxError(`no name at ${this.at}`);
      this.expect(":");
      members.set(name, this.value());
    } while (this.peek(","));
    this.expect("}");
    return members;
  }
}

export function parseJson(text: string): Json {
  return new Parser(text).value();
}

/** A number without an exponent. */
function plainNumber(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(text);
  if (!match) return text;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point >= digits.length) return sign + digits.padEnd(point, "0");
  return point > 0 ? `${sign}${digits.slice(0, point)}.${digits.slice(point)}` : `${sign}0.${"0".repeat(-point)}${digits}`;
}

const ESCAPES: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quoted(text: string): string {
  const escaped = text.replace(/["\\\u0000-\u001f]/g, (character) => {
    return ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

const encoder = new TextEncoder();

/** Shorter names first, and bytewise among those of one length. */
function compareNames(one: Uint8Array, other: Uint8Array): number {
  if (one.length !== other.length) return one.length - other.length;
  const at = one.findIndex((byte, index) => byte !== other[index]);
  return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}

export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return quoted(value);
  if (value instanceof JsonNumber) return plainNumber(value.text);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(", ")}]`;
  const members = [...value].map(([name, member]) => ({ name, member, bytes: encoder.encode(name) }));
  members.sort((one, other) => compareNames(one.bytes, other.bytes));
  return `{${members.map(({ name, member }) => `${quoted(name)}: ${canonicalJson(member)}`).join(", ")}}`;
}
