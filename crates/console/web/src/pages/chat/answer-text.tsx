import { memo, useMemo } from "react";
import Markdown, { type Components } from "react-markdown";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import type { Citation, TextRange } from "@/api/types";
import { useI18n } from "@/i18n";
import { annotate, codeUnits } from "./annotate";

interface AnswerTextProps {
  text: string;
  citations: readonly Citation[];
  unsupported: readonly TextRange[];
  onCitation: (citation: Citation) => void;
}

const NONE: readonly TextRange[] = [];

/** A link of a hostile answer must lead nowhere, not even by being looked up: only paths of this platform are links. */
const safe: Components = {
  a: ({ href, children }) =>
    href && /^\/(?!\/)/.test(href) ? (
      <a href={href} className="underline">
        {children}
      </a>
    ) : (
      <span>
        {children}
        {href && !String(children).includes(href) ? ` (${href})` : ""}
      </span>
    ),
  img: ({ alt }) => <span>{alt ? `[${alt}]` : ""}</span>,
  input: ({ checked }) => <span aria-hidden>{checked ? "☑ " : "☐ "}</span>,
};

/** An answer: Markdown without HTML, with its citations and unsupported parts marked. */
export const AnswerText = memo(function AnswerText({ text, citations, unsupported = NONE, onCitation }: AnswerTextProps) {
  const { t } = useI18n();
  const components = useMemo<Components>(
    () => ({
      ...safe,
      cite: ({ children }) => {
        const citation = citations.find(({ n }) => n === Number(children));
        if (!citation) return <>[{children}]</>;
        return (
          <button
            type="button"
            onClick={() => onCitation(citation)}
            aria-label={t("source", { n: citation.n })}
            title={citation.kind === "reading" ? citation.tag : citation.doc}
            className="mx-0.5 rounded border border-line bg-surface px-1.5 text-sm leading-6 font-semibold hover:bg-ground"
          >
            {citation.n}
          </button>
        );
      },
    }),
    [citations, onCitation, t],
  );
  const annotations = { citations: new Set(citations.map(({ n }) => n)), unsupported: codeUnits(text, unsupported) };
  return (
    <div className="prose">
      <Markdown remarkPlugins={[remarkGfm]} rehypePlugins={[rehypeSanitize, [annotate, annotations]]} components={components}>
        {text}
      </Markdown>
    </div>
  );
});
