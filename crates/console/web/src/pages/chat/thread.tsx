// The messages of a conversation, with the answer that is being written.

import { useEffect, useRef } from "react";
import type { Citation, Message } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Badge, Notice } from "@/components/ui/feedback";
import { type MessageKey, useI18n } from "@/i18n";
import { AnswerText } from "./answer-text";
import { ApprovalCard } from "./approval-card";
import { AnswerFacts } from "./answer-facts";
import type { BranchMessage } from "./branches";
import type { LiveRun } from "./live-runs";
import { AnswerMessage, type MessageActions, QuestionBubble, UserMessage } from "./message";
import { isMidSentence } from "./sentences";
import { Sources } from "./sources";
import { StepProgress } from "./step-progress";
import { ToolCalls } from "./tool-calls";

interface ThreadProps {
  path: readonly BranchMessage[];
  live: LiveRun | undefined;
  actions: MessageActions;
  onRetry: () => void;
}

const ERRORS: Record<string, MessageKey> = {
  connection: "error.connection",
  conversation_busy: "error.busy",
  rate_limited: "error.rateLimited",
  quota_exceeded: "error.quota",
};

/** The part of the branch that a run builds on. */
export function before(path: readonly BranchMessage[], live: LiveRun | undefined): readonly BranchMessage[] {
  if (!live) return path;
  // What the server stored of this run already is shown from the run itself.
  const stored = path.findIndex(({ message }) => message.id === live.messageId);
  const shown = stored >= 0 ? path.slice(0, stored) : path;
  const { question } = live;
  if (question?.parent_id === null) return [];
  if (question?.parent_id) {
    const parent = shown.findIndex(({ message }) => message.id === question.parent_id);
    return parent >= 0 ? shown.slice(0, parent + 1) : shown;
  }
  const last = shown.at(-1)?.message;
  const isQuestion = last?.role === "user" && last.content === question?.message;
  return stored >= 0 && isQuestion ? shown.slice(0, -1) : shown;
}

function RunError({ live, onRetry }: { live: LiveRun; onRetry: () => void }) {
  const { t } = useI18n();
  if (!live.error) return null;
  const known = ERRORS[live.error.code];
  return (
    <Notice action={<Button onClick={onRetry}>{t("retry")}</Button>}>
      {known ? t(known) : (live.error.detail ?? t("error.unknown"))}
    </Notice>
  );
}

function LiveAnswer({ live, onCitation, onRetry }: { live: LiveRun; onCitation: (citation: Citation) => void; onRetry: () => void }) {
  const { t } = useI18n();
  const isWriting = live.status === "writing" || live.status === "stopping";
  return (
    <article aria-label={t("assistant")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <StepProgress steps={live.steps} />
      <ToolCalls calls={live.tools} />
      {live.privacyWarnings.length > 0 && (
        <Badge tone="warning">{t("privacyWarning", { patterns: live.privacyWarnings.join(", ") })}</Badge>
      )}
      {live.reasoning && (
        <details className="text-sm text-quiet">
          <summary className="flex min-h-target cursor-pointer items-center">{t("reasoning")}</summary>
          <p className="whitespace-pre-wrap">{live.reasoning}</p>
        </details>
      )}
      {/* Screen readers read what was added when a sentence is complete, instead of every word. */}
      <div aria-live="polite" aria-busy={isWriting && isMidSentence(live.text)}>
        <AnswerText text={live.text} citations={live.citations} unsupported={live.unsupported} onCitation={onCitation} />
      </div>
      {live.approvals.map((request) => (
        <ApprovalCard key={request.approval_id} id={request.approval_id} request={request} />
      ))}
      {isWriting && <p className="animate-pulse text-quiet">{live.text ? t("writing") : t("thinking")}</p>}
      <Sources citations={live.citations} onCitation={onCitation} />
      <RunError live={live} onRetry={onRetry} />
      <div className="flex flex-wrap items-center justify-end gap-2">
        <AnswerFacts facts={live} degraded={live.degraded ?? false} />
      </div>
    </article>
  );
}

/** Keeps the end in view while an answer grows, unless the user has scrolled up. */
function useFollowEnd(length: number, count: number) {
  const container = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const onScroll = () => {
    const element = container.current;
    if (element) isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 80;
  };
  useEffect(() => {
    isAtEnd.current = true;
  }, [count]);
  useEffect(() => {
    const element = container.current;
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [length, count]);
  return { container, onScroll };
}

export function Thread({ path, live, actions, onRetry }: ThreadProps) {
  const { t } = useI18n();
  const shown = before(path, live);
  const { container, onScroll } = useFollowEnd((live?.text.length ?? 0) + (live?.citations.length ?? 0), shown.length);
  const ofUser = ({ message }: BranchMessage) => message.role === "user";
  return (
    <div
      ref={container}
      onScroll={onScroll}
      role="log"
      aria-live="off"
      aria-label={t("messages")}
      tabIndex={0}
      className="print-flow min-h-0 flex-1 overflow-y-auto p-4"
    >
      <div className="mx-auto flex max-w-3xl flex-col gap-4">
        {shown.map((entry) =>
          ofUser(entry) ? (
            <UserMessage key={entry.message.id} entry={entry} actions={actions} />
          ) : (
            <AnswerMessage key={entry.message.id} entry={entry} actions={actions} />
          ),
        )}
        {live?.question?.message && <QuestionBubble text={live.question.message} />}
        {live && <LiveAnswer live={live} onCitation={actions.onCitation} onRetry={onRetry} />}
      </div>
    </div>
  );
}

/** Whether the stored messages have all of a run, so that it need not be shown itself. */
export function isStored(messages: readonly Message[], live: LiveRun) {
  return messages.some(({ id, status }) => id === live.messageId && status !== "streaming");
}
