// The text of a DOCX file: its paragraphs in order. A DOCX file is a ZIP archive (APPNOTE.TXT) with the text in
// `word/document.xml`.

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
async function archived(buffer: ArrayBuffer, wanted: string): Promise<string> {
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

function textOf(paragraph: Element): string {
  let text = "";
  for (const element of paragraph.getElementsByTagName("*")) {
    if (element.localName === "t") text += element.textContent;
    if (element.localName === "tab") text += "\t";
    if (element.localName === "br") text += "\n";
  }
  return text;
}

/** One line of a document. */
export interface Line {
  text: string;
  heading: boolean;
}

function children(parent: Element, name: string): Element[] {
  return [...parent.getElementsByTagName("*")].filter((element) => element.localName === name);
}

function isInside(element: Element, name: string): boolean {
  for (let parent = element.parentElement; parent; parent = parent.parentElement) {
    if (parent.localName === name) return true;
  }
  return false;
}

function isHeading(paragraph: Element): boolean {
  const style = children(paragraph, "pStyle")[0];
  const attribute = style && [...style.attributes].find(({ localName }) => localName === "val");
  return /^(heading|title|berschrift|überschrift)/i.test(attribute?.value ?? "");
}

/** The paragraphs of a DOCX file, and the rows of its tables. */
export async function docxLines(buffer: ArrayBuffer): Promise<Line[]> {
  const xml = await archived(buffer, "word/document.xml");
  const document = new DOMParser().parseFromString(xml, "application/xml");
  if (document.querySelector("parsererror")) throw new UnreadableDocument();
  const parts = [...document.getElementsByTagName("*")].filter(
    (element) => element.localName === "tr" || (element.localName === "p" && !isInside(element, "tr")),
  );
  const lines = parts.map((part) =>
    part.localName === "tr"
      ? { text: children(part, "tc").map((cell) => textOf(cell).trim()).join(" | "), heading: false }
      : { text: textOf(part), heading: isHeading(part) },
  );
  return lines.filter(({ text }) => text.trim() !== "");
}
