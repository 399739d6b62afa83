// What the platform suggests to remember from a conversation. Nothing is remembered before its owner accepts it.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Check } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { Memory } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { MEMORIES_KEY, acceptMemory, removeMemory, useMemoryChange } from "@/pages/memory-changes";

/** When to look after an answer: the platform asks a model for ten seconds at most. */
const DELAY_MS = 11_000;
const SUGGESTED_KEY = [...MEMORIES_KEY, "suggested"];

/** Suggestions of a conversation in which an answer ended. Viewers have few requests a minute, and find them at Memories. */
function useSuggestions(conversation: string, isWriting: boolean): Memory[] {
  const queries = useQueryClient();
  const isViewer = useAccount().role === "viewer";
  const wasWriting = useRef(false);
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    if (isWriting) wasWriting.current = true;
    if (isWriting || isViewer || !wasWriting.current) return;
    const timer = setTimeout(() => {
      wasWriting.current = false;
      setDue(true);
      void queries.invalidateQueries({ queryKey: SUGGESTED_KEY });
    }, DELAY_MS);
    return () => clearTimeout(timer);
  }, [isWriting, isViewer, queries]);
  const { data } = useQuery({
    queryKey: SUGGESTED_KEY,
    enabled: isDue,
    queryFn: () => body(api.GET("/v1/memories", { params: { query: { status: "suggested", limit: 20 } } })),
  });
  return isDue ? (data?.data ?? []).filter(({ source }) => source?.conversation_id === conversation) : [];
}

function Suggestion({ memory }: { memory: Memory }) {
  const { t } = useI18n();
  const accept = useMemoryChange(() => acceptMemory(memory.id));
  const decline = useMemoryChange(() => removeMemory(memory.id));
  const isChanging = accept.isPending || decline.isPending;
  return (
    <li className="flex flex-wrap items-center gap-2">
      <p className="min-w-0 flex-1 basis-56 [overflow-wrap:anywhere] whitespace-pre-wrap">{visibleText(memory.content)}</p>
      <Button disabled={isChanging} onClick={() => accept.mutate()}>
        <Check aria-hidden /> {t("accept")}
      </Button>
      <Button disabled={isChanging} onClick={() => decline.mutate()}>
        {t("decline")}
      </Button>
      {(accept.isError || decline.isError) && <Notice>{t("notSaved")}</Notice>}
    </li>
  );
}

interface MemorySuggestionsProps {
  conversation: string;
  isWriting: boolean;
}

export function MemorySuggestions({ conversation, isWriting }: MemorySuggestionsProps) {
  const { t } = useI18n();
  const suggestions = useSuggestions(conversation, isWriting);
  return (
    <div aria-live="polite" className="no-print">
      {suggestions.length > 0 && (
        <section aria-label={t("suggestedMemories")} className="border-t border-line bg-surface p-3">
          <p className="text-sm text-quiet">{t("rememberThis")}</p>
          <ul className="flex flex-col gap-2">
            {suggestions.map((memory) => (
              <Suggestion key={memory.id} memory={memory} />
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
