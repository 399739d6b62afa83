// The text of workbooks, OpenDocument sheets and presentations, as lines that passages can be found in. What the platform
// reads of them is more exact; the original can be downloaded.

import { UnreadableDocument, archivedXml, attribute, elements } from "./archive";
import type { Line } from "./docx";

const MAX_PARTS = 2_000;
const DAY_MS = 86_400_000;
/** The number of the first day of the year 10000. */
const MAX_DAY = 2_958_466;
/** Built-in number formats that are dates. */
const DATE_FORMATS = new Set([14, 15, 16, 17, 22]);
const PERCENT_FORMATS = new Set([9, 10]);

/** The targets of a part's relationships by id, as paths below `folder`. */
async function targets(buffer: ArrayBuffer, path: string, folder: string): Promise<Map<string, string>> {
  const relationships = await archivedXml(buffer, path);
  const found = new Map<string, string>();
  for (const link of relationships ? elements(relationships, "Relationship") : []) {
    const target = attribute(link, "Target");
    found.set(attribute(link, "Id"), target.startsWith("/") ? target.slice(1) : `${folder}/${target}`);
  }
  return found;
}

/** The id of the relationship that an element refers to: its attribute `id` with a prefix. */
function relationship(element: Element): string {
  return [...element.attributes].find(({ localName, prefix }) => localName === "id" && prefix !== null)?.value ?? "";
}

type Format = "date" | "percent" | "general";

/** How the cells of each style are shown. */
function formats(styles: XMLDocument | null): Format[] {
  const cells = styles ? elements(styles, "cellXfs")[0] : undefined;
  if (!styles || !cells) return [];
  const codes = new Map(elements(styles, "numFmt").map((format) => [attribute(format, "numFmtId"), attribute(format, "formatCode")]));
  return elements(cells, "xf").map((style) => {
    const id = attribute(style, "numFmtId");
    const code = (codes.get(id) ?? "").replace(/"[^"]*"|\\./g, "");
    if (DATE_FORMATS.has(Number(id)) || /[yd]/i.test(code)) return "date";
    return PERCENT_FORMATS.has(Number(id)) || code.includes("%") ? "percent" : "general";
  });
}

function shown(value: string, format: Format | undefined): string {
  const number = Number(value);
  if (value === "" || Number.isNaN(number)) return value;
  if (format === "date" && number >= 1 && number < MAX_DAY) {
    return new Date(Date.UTC(1899, 11, 30) + Math.floor(number) * DAY_MS).toISOString().slice(0, 10);
  }
  const rounded = Number((format === "percent" ? number * 100 : number).toPrecision(15));
  return format === "percent" ? `${rounded}%` : String(rounded);
}

function cellText(cell: Element, strings: string[], styles: Format[]): string {
  const kind = attribute(cell, "t");
  if (kind === "inlineStr") return elements(cell, "t").map((part) => part.textContent).join("");
  const value = elements(cell, "v")[0]?.textContent ?? "";
  if (kind === "s") return strings[Number(value)] ?? "";
  return kind === "" || kind === "n" ? shown(value, styles[Number(attribute(cell, "s") || "0")]) : value;
}

function row(cells: string[]): Line[] {
  const text = cells.map((cell) => cell.replace(/\s+/g, " ").trim()).join(" | ");
  return /[\p{L}\p{N}]/u.test(text) ? [{ text, heading: false }] : [];
}

/** The visible sheets of a workbook: a heading with the name of each, and its rows. */
export async function workbookLines(buffer: ArrayBuffer): Promise<Line[]> {
  const workbook = await archivedXml(buffer, "xl/workbook.xml");
  if (!workbook) throw new UnreadableDocument();
  const paths = await targets(buffer, "xl/_rels/workbook.xml.rels", "xl");
  const shared = await archivedXml(buffer, "xl/sharedStrings.xml");
  const strings = shared
    ? elements(shared, "si").map((item) => elements(item, "t").map((part) => part.textContent).join(""))
    : [];
  const styles = formats(await archivedXml(buffer, "xl/styles.xml"));
  const lines: Line[] = [];
  for (const sheet of elements(workbook, "sheet").slice(0, MAX_PARTS)) {
    const path = paths.get(relationship(sheet));
    if (!path || !["", "visible"].includes(attribute(sheet, "state"))) continue;
    const part = await archivedXml(buffer, path);
    lines.push({ text: attribute(sheet, "name"), heading: true });
    for (const cells of part ? elements(part, "row") : []) {
      lines.push(...row(elements(cells, "c").map((cell) => cellText(cell, strings, styles))));
    }
  }
  return lines;
}

/** The sheets of an OpenDocument spreadsheet. */
export async function openDocumentLines(buffer: ArrayBuffer): Promise<Line[]> {
  const content = await archivedXml(buffer, "content.xml");
  if (!content) throw new UnreadableDocument();
  const hidden = new Set(
    elements(content, "style")
      .filter((style) => elements(style, "table-properties").some((of) => attribute(of, "display") === "false"))
      .map((style) => attribute(style, "name")),
  );
  const lines: Line[] = [];
  for (const table of elements(content, "table").slice(0, MAX_PARTS)) {
    if (hidden.has(attribute(table, "style-name"))) continue;
    lines.push({ text: attribute(table, "name"), heading: true });
    for (const cells of elements(table, "table-row")) {
      lines.push(...row(elements(cells, "table-cell").map((cell) => elements(cell, "p").map((p) => p.textContent).join(" "))));
    }
  }
  return lines;
}

/** The slides of a presentation: the first paragraph of each as a heading. */
export async function slideLines(buffer: ArrayBuffer): Promise<Line[]> {
  const presentation = await archivedXml(buffer, "ppt/presentation.xml");
  if (!presentation) throw new UnreadableDocument();
  const paths = await targets(buffer, "ppt/_rels/presentation.xml.rels", "ppt");
  const lines: Line[] = [];
  for (const listed of elements(presentation, "sldId").slice(0, MAX_PARTS)) {
    const path = paths.get(relationship(listed));
    const slide = path ? await archivedXml(buffer, path) : null;
    if (!slide || attribute(slide.documentElement, "show") === "0") continue;
    const paragraphs = elements(slide, "p").map((p) => elements(p, "t").map((part) => part.textContent).join(""));
    const texts = paragraphs.filter((text) => text.trim() !== "");
    lines.push(...texts.map((text, at) => ({ text, heading: at === 0 })));
  }
  return lines;
}

const BLOCKS = "h1,h2,h3,h4,h5,h6,p,li,tr,pre,caption,dt,dd,blockquote";

/** The text of a web page. It is parsed into a document without a window: nothing in it runs or is loaded. */
export function pageLines(source: string): Line[] {
  const page = new DOMParser().parseFromString(source, "text/html");
  page.querySelectorAll("script,style,template,noscript,iframe,[hidden]").forEach((element) => element.remove());
  const blocks = [...page.querySelectorAll(BLOCKS)].filter((block) => !block.parentElement?.closest(BLOCKS));
  if (blocks.length === 0) return (page.body.textContent ?? "").split("\n").map((text) => ({ text, heading: false }));
  return blocks.flatMap((block) => {
    if (block.localName === "tr") return row([...block.children].map((cell) => cell.textContent ?? ""));
    const text = (block.textContent ?? "").replace(/\s+/g, " ").trim();
    return text === "" ? [] : [{ text, heading: /^h[1-6]$/.test(block.localName) }];
  });
}
