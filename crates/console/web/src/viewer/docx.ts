// The text of a DOCX file: its paragraphs in order, from `word/document.xml`.

import { UnreadableDocument, archived } from "./archive";

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
  /** An item of a numbered list, whose number is not part of the text. */
  listed?: boolean;
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

function styleOf(paragraph: Element): string {
  const style = children(paragraph, "pStyle")[0];
  return [...(style?.attributes ?? [])].find(({ localName }) => localName === "val")?.value ?? "";
}

/** Whether the word processor numbers it. A list without a named style counts: most of those in procedures are steps. */
function isNumbered(paragraph: Element, style: string): boolean {
  if (/bullet|aufz/i.test(style)) return false;
  return /^list(number|ennummer)/i.test(style) || children(paragraph, "numPr").length > 0;
}

function paragraphLine(paragraph: Element): Line {
  const style = styleOf(paragraph);
  const heading = /^(heading|title|berschrift|überschrift)/i.test(style);
  const line = { text: textOf(paragraph), heading };
  return !heading && isNumbered(paragraph, style) ? { ...line, listed: true } : line;
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
      : paragraphLine(part),
  );
  return lines.filter(({ text }) => text.trim() !== "");
}
