// One message of a conversation, with what can be done with it.

import { ChevronLeft, ChevronRight, Pencil, RefreshCw, ThumbsDown, ThumbsUp } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useAccount } from "@/account";
import type { Citation, Message } from "@/api/types";
import { CopyButton } from "@/components/copy-button";
import { Button, IconButton } from "@/components/ui/button";
import { Badge, Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { useFormDraft } from "@/lib/use-form-draft";
import { AnswerFacts } from "./answer-facts";
import { AnswerText } from "./answer-text";
import { ApprovalCard } from "./approval-card";
import type { BranchMessage } from "./branches";
import { type Feedback, FeedbackForm, useFeedback } from "./feedback";
import { liveRuns } from "./live-runs";
import { Sources } from "./sources";

export interface MessageActions {
  /** Nothing that changes the conversation while an answer is written. */
  busy: boolean;
  /** Whether the user only reads here. */
  readOnly: boolean;
  onCitation: (citation: Citation) => void;
  onEdit: (message: Message, text: string) => void;
  onRegenerate: (question: string) => void;
  onVersion: (message: Message) => void;
}

function Versions({ entry, actions }: { entry: BranchMessage; actions: MessageActions }) {
  const { t } = useI18n();
  const { message, versions } = entry;
  if (versions.length < 2) return null;
  const index = versions.findIndex(({ id }) => id === message.id);
  const show = (version: Message | undefined) => version && actions.onVersion(version);
  return (
    <span className="inline-flex items-center">
      <IconButton label={t("previousVersion")} disabled={index === 0 || actions.busy || actions.readOnly} onClick={() => show(versions[index - 1])}>
        <ChevronLeft />
      </IconButton>
      <span className="text-sm text-quiet">{t("versionOf", { index: index + 1, count: versions.length })}</span>
      <IconButton
        label={t("nextVersion")}
        disabled={index === versions.length - 1 || actions.busy || actions.readOnly}
        onClick={() => show(versions[index + 1])}
      >
        <ChevronRight />
      </IconButton>
    </span>
  );
}

interface EditFormProps {
  id: string;
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
}

function EditForm({ id, text, onSave, onCancel }: EditFormProps) {
  const { t } = useI18n();
  const { fields: value, set: setValue, discard } = useFormDraft(`message.${id}`, text);
  return (
    <form
      className="flex w-full flex-col gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        if (!value.trim()) return;
        discard();
        onSave(value);
      }}
    >
      <textarea
        aria-label={t("editedText")}
        value={value}
        autoFocus
        maxLength={32_000}
        onChange={(event) => setValue(event.target.value)}
        className="min-h-28 w-full rounded-md border border-line bg-raised p-3"
      />
      <div className="flex justify-end gap-2">
        <Button
          onClick={() => {
            discard();
            onCancel();
          }}
        >
          {t("cancel")}
        </Button>
        <Button type="submit" variant="primary" disabled={!value.trim()}>
          {t("askAgain")}
        </Button>
      </div>
    </form>
  );
}

interface QuestionBubbleProps {
  text: string;
  /** Who asked, if it was somebody else. */
  author?: string;
  children?: ReactNode;
}

/** What a user asked. */
export function QuestionBubble({ text, author, children }: QuestionBubbleProps) {
  const { t } = useI18n();
  return (
    <article aria-label={author ?? t("you")} className="flex flex-col items-end gap-1">
      {author && <p className="max-w-[85%] truncate text-sm text-quiet">{author}</p>}
      <p className="max-w-[85%] rounded-lg bg-primary px-4 py-2.5 [overflow-wrap:anywhere] whitespace-pre-wrap text-on-primary">
        {text}
      </p>
      {children}
    </article>
  );
}

/** Who wrote a message of a team's conversation, unless it was the user. */
function useAuthor({ author }: Message): string | undefined {
  const { t } = useI18n();
  const { id } = useAccount();
  if (!author || author.id === id) return undefined;
  return visibleText(author.name) || t("unknownAuthor");
}

export function UserMessage({ entry, actions }: { entry: BranchMessage; actions: MessageActions }) {
  const { t } = useI18n();
  const { message } = entry;
  const author = useAuthor(message);
  const [editing, setEditing] = useState(false);
  if (editing) {
    const save = (text: string) => {
      setEditing(false);
      actions.onEdit(message, text);
    };
    return <EditForm id={message.id} text={message.content} onSave={save} onCancel={() => setEditing(false)} />;
  }
  return (
    <QuestionBubble text={message.withheld ? t("withheldQuestion") : message.content} author={author}>
      <div className="no-print flex items-center">
        <Versions entry={entry} actions={actions} />
        {!author && !actions.readOnly && (
          <IconButton label={t("edit")} disabled={actions.busy} onClick={() => setEditing(true)}>
            <Pencil />
          </IconButton>
        )}
      </div>
    </QuestionBubble>
  );
}

function AnswerBadges({ message }: { message: Message }) {
  const { t } = useI18n();
  return (
    <>
      {message.status === "cancelled" && <Badge tone="warning">{t("stopped")}</Badge>}
      {message.status === "error" && <Badge tone="alarm">{t("brokeOff")}</Badge>}
      <AnswerFacts facts={liveRuns.facts(message.id)} degraded={message.degraded} />
      {(message.classification === "confidential" || message.classification === "restricted") && (
        <Badge>{t(`class.${message.classification}`)}</Badge>
      )}
      {message.model && <span className="text-sm text-quiet">{message.model}</span>}
    </>
  );
}

function AnswerActions({ entry, actions, feedback }: { entry: BranchMessage; actions: MessageActions; feedback: Feedback }) {
  const { t } = useI18n();
  const { message } = entry;
  const question = message.parent_id;
  return (
    <div className="no-print -ml-2 flex flex-wrap items-center">
      <Versions entry={entry} actions={actions} />
      <CopyButton text={message.content} />
      {question && !actions.readOnly && (
        <IconButton label={t("regenerate")} disabled={actions.busy} onClick={() => actions.onRegenerate(question)}>
          <RefreshCw />
        </IconButton>
      )}
      <IconButton label={t("goodAnswer")} aria-pressed={feedback.rating === "up"} onClick={() => feedback.rate("up")}>
        <ThumbsUp fill={feedback.rating === "up" ? "currentColor" : "none"} />
      </IconButton>
      <IconButton label={t("badAnswer")} aria-pressed={feedback.rating === "down"} onClick={() => feedback.rate("down")}>
        <ThumbsDown fill={feedback.rating === "down" ? "currentColor" : "none"} />
      </IconButton>
    </div>
  );
}

export function AnswerMessage({ entry, actions }: { entry: BranchMessage; actions: MessageActions }) {
  const { t } = useI18n();
  const { message } = entry;
  const { unsupported } = message;
  const feedback = useFeedback(message.id);
  return (
    <article aria-label={t("assistant")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      {message.withheld ? (
        <Notice tone="warning">{t("withheld")}</Notice>
      ) : (
        <AnswerText
          text={message.content}
          citations={message.citations}
          unsupported={unsupported}
          onCitation={actions.onCitation}
        />
      )}
      {unsupported.length > 0 && <p className="text-sm text-warning">{t("unsupported", { count: unsupported.length })}</p>}
      <Sources citations={message.citations} onCitation={actions.onCitation} />
      {liveRuns.approvals(message.id).map((id) => (
        <ApprovalCard key={id} id={id} />
      ))}
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
        <AnswerActions entry={entry} actions={actions} feedback={feedback} />
        <div className="flex flex-wrap items-center gap-2">
          <AnswerBadges message={message} />
        </div>
      </div>
      <FeedbackForm feedback={feedback} message={message.id} />
    </article>
  );
}
