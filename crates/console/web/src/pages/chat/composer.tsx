import { ArrowUp, Square } from "lucide-react";
import { type KeyboardEvent, type RefObject, useEffect, useLayoutEffect, useState } from "react";
import { useAccount } from "@/account";
import { Button } from "@/components/ui/button";
import { Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { drafts } from "@/lib/drafts";
import { type AgentChoice, AgentSelect } from "./agent-select";

export type Tier = "" | "fast" | "heavy";

interface ComposerProps {
  /** Whose draft it is; `new` before there is a conversation. */
  conversation: string;
  input: RefObject<HTMLTextAreaElement | null>;
  /** Whether an answer is being written. */
  writing: boolean;
  stopping: boolean;
  agent: AgentChoice;
  onAgent: (agent: AgentChoice) => void;
  onSend: (text: string, tier: Tier) => void;
  onStop: () => void;
}

/** A text that is put back into the box, such as one that could not be sent. */
export function restoreDraft(user: string, conversation: string, text: string) {
  drafts.set(user, conversation, text);
  window.dispatchEvent(new Event("draft-restored"));
}

function useDraft(conversation: string) {
  const user = useAccount().id;
  const [text, setText] = useState(() => drafts.get(user, conversation));
  useEffect(() => {
    const read = () => setText(drafts.get(user, conversation));
    read();
    window.addEventListener("draft-restored", read);
    return () => window.removeEventListener("draft-restored", read);
  }, [user, conversation]);
  const change = (next: string) => {
    setText(next);
    drafts.set(user, conversation, next);
  };
  return [text, change] as const;
}

export function Composer(props: ComposerProps) {
  const { conversation, input, writing, stopping, agent, onAgent, onSend, onStop } = props;
  const { t } = useI18n();
  const [text, setText] = useDraft(conversation);
  const [tier, setTier] = useState<Tier>("");
  useLayoutEffect(() => {
    const element = input.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight + 2, 240)}px`;
  }, [text, input]);
  const send = () => {
    if (writing || !text.trim()) return;
    onSend(text.trim(), tier);
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    }
  };
  return (
    <form
      className="no-print border-t border-line bg-surface p-3"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="mx-auto flex max-w-3xl flex-wrap items-end gap-2 sm:flex-nowrap">
        <textarea
          ref={input}
          aria-label={t("message")}
          placeholder={t("messagePlaceholder")}
          rows={1}
          value={text}
          maxLength={32_000}
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
          className="min-h-target min-w-0 flex-1 basis-full resize-none rounded-md border border-line bg-raised px-3 py-2.5 text-base placeholder:text-quiet sm:basis-0"
        />
        <AgentSelect agent={agent} onChange={onAgent} />
        <Select
          aria-label={t("tier")}
          className="hidden w-auto sm:block"
          value={tier}
          onChange={(event) => setTier(event.target.value as Tier)}
        >
          <option value="">{t("tier.auto")}</option>
          <option value="fast">{t("tier.fast")}</option>
          <option value="heavy">{t("tier.heavy")}</option>
        </Select>
        {writing ? (
          <Button className="ml-auto" onClick={onStop} disabled={stopping}>
            <Square fill="currentColor" aria-hidden /> {t("stop")}
          </Button>
        ) : (
          <Button type="submit" variant="primary" className="ml-auto" disabled={!text.trim()}>
            <ArrowUp aria-hidden /> {t("send")}
          </Button>
        )}
      </div>
    </form>
  );
}
