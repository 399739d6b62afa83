// Reads files of a ZIP archive (APPNOTE.TXT), which office documents are.

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const DEFLATED = 8;
/** More than a document needs; a larger one is a bomb. */
const MAX_XML_BYTES = 64 * 1024 * 1024;

export class UnreadableDocument extends Error {}

function endOfDirectory(view: DataView): number {
  for (let at = view.byteLength - 22; at >= 0 && at > view.byteLength - 66_000; at -= 1) {
    if (view.getUint32(at, true) === END_OF_DIRECTORY) return at;
  }
  throw new UnreadableDocument();
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let [text, read] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    read += value.length;
    if (read > MAX_XML_BYTES) throw new UnreadableDocument();
    text += decoder.decode(value, { stream: true });
  }
}

/** Reads one file of a ZIP archive as text. */
export async function archived(buffer: ArrayBuffer, wanted: string): Promise<string> {
  const view = new DataView(buffer);
  const end = endOfDirectory(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  for (let entry = 0; entry < count && view.getUint32(at, true) === DIRECTORY_ENTRY; entry += 1) {
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [nameLength, extraLength] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true)];
    const commentLength = view.getUint16(at + 32, true);
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameLength));
    if (name === wanted) {
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const content = new Uint8Array(buffer, start, size);
      return method === DEFLATED ? inflate(content) : new TextDecoder().decode(content);
    }
    at += 46 + nameLength + extraLength + commentLength;
  }
  throw new UnreadableDocument();
}

/** Reads one file of a ZIP archive as XML; null if it is not there. */
export async function archivedXml(buffer: ArrayBuffer, wanted: string): Promise<XMLDocument | null> {
  const text = await archived(buffer, wanted).catch(() => null);
  if (text === null) return null;
  const document = new DOMParser().parseFromString(text, "application/xml");
  if (document.querySelector("parsererror")) throw new UnreadableDocument();
  return document;
}

/** The elements with this local name below a node, at any depth. */
export function elements(parent: Document | Element, name: string): Element[] {
  return [...parent.getElementsByTagName("*")].filter((element) => element.localName === name);
}

/** The value of the attribute with this local name. */
export function attribute(element: Element, name: string): string {
  return [...element.attributes].find(({ localName }) => localName === name)?.value ?? "";
}
