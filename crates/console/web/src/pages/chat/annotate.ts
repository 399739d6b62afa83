// Puts marks into the text of an answer: its citations `[n]`, and what no passage supports. Runs after sanitizing.

import type { Element, ElementContent, Root, RootContent, Text } from "hast";
import type { TextRange } from "@/api/types";
import { visibleText } from "@/lib/invisible";
import { type Range, segments } from "@/viewer/passage";

const CITATION = /\[(\d{1,3})\]/g;

export interface Annotations {
  /** The numbers that are citations of this answer; others stay text. */
  citations: ReadonlySet<number>;
  /** In UTF-16 code units of the answer's source. */
  unsupported: readonly Range[];
}

/** Offsets of the API count code points, those of strings here UTF-16 code units. */
export function codeUnits(text: string, ranges: readonly TextRange[]): Range[] {
  const starts: number[] = [];
  let unit = 0;
  for (const character of text) {
    starts.push(unit);
    unit += character.length;
  }
  starts.push(unit);
  const at = (point: number) => starts[Math.min(point, starts.length - 1)] as number;
  return ranges.map(({ start, end }) => ({ start: at(start), end: at(end) }));
}

function citationNodes(text: string, citations: ReadonlySet<number>): ElementContent[] {
  const nodes: ElementContent[] = [];
  let at = 0;
  const push = (value: string) => {
    const visible = visibleText(value);
    if (visible !== "") nodes.push({ type: "text", value: visible });
  };
  for (const match of text.matchAll(CITATION)) {
    const n = Number(match[1]);
    if (!citations.has(n)) continue;
    push(text.slice(at, match.index));
    nodes.push({ type: "element", tagName: "cite", properties: {}, children: [{ type: "text", value: String(n) }] });
    at = match.index + match[0].length;
  }
  push(text.slice(at));
  return nodes;
}

function annotateText(node: Text, { citations, unsupported }: Annotations): ElementContent[] {
  const offset = node.position?.start.offset;
  const sourceLength = (node.position?.end.offset ?? 0) - (offset ?? 0);
  // Text with escapes is longer in the source; its ranges cannot be told exactly, so it is not marked.
  const ranges = offset !== undefined && sourceLength === node.value.length ? unsupported : [];
  return segments(node.value, offset ?? 0, ranges).flatMap(({ text, marked }) => {
    const children = citationNodes(text, citations);
    if (!marked) return children;
    const properties = { className: ["unsupported"] };
    return [{ type: "element", tagName: "span", properties, children } satisfies Element];
  });
}

function annotateChildren(parent: Root | Element, annotations: Annotations) {
  const children: RootContent[] = [];
  for (const child of parent.children) {
    if (child.type === "text") children.push(...annotateText(child, annotations));
    else children.push(child);
    if (child.type === "element" && child.tagName !== "code") annotateChildren(child, annotations);
  }
  parent.children = children as typeof parent.children;
}

/** The rehype plugin. */
export function annotate(annotations: Annotations) {
  return (tree: Root) => annotateChildren(tree, annotations);
}
