import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useDeferredValue, useState } from "react";
import { NavLink, useNavigate } from "react-router";
import { api, body } from "@/api/client";
import { Button } from "@/components/ui/button";
import { Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { Checkbox, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";

export const CONVERSATIONS = "conversations";

/** Loads the lists of conversations again, after one of them changed. */
export function useRefreshConversations() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: [CONVERSATIONS] });
}

/** The title of a conversation in the list, if that has been loaded. */
export function useListedTitle(id: string | undefined): string | null | undefined {
  const list = useConversations("", false, false);
  return list.data?.pages.flatMap((page) => page.data).find((conversation) => conversation.id === id)?.title;
}

function useConversations(words: string, archived: boolean, enabled = true) {
  return useInfiniteQuery({
    queryKey: [CONVERSATIONS, words, archived],
    enabled,
    queryFn: ({ pageParam }) => {
      const query = { q: words || undefined, archived: archived ? ("true" as const) : undefined, cursor: pageParam, limit: 30 };
      return body(api.GET("/v1/conversations", { params: { query } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

/** The user's conversations: to search, to open, to start. */
export function ConversationList({ onChosen }: { onChosen?: () => void }) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const [words, setWords] = useState("");
  const [archived, setArchived] = useState(false);
  const list = useConversations(useDeferredValue(words.trim()), archived);
  const conversations = list.data?.pages.flatMap((page) => page.data) ?? [];
  const begin = () => {
    void navigate("/chat");
    onChosen?.();
  };
  return (
    <div className="flex h-full min-h-0 flex-col gap-2 p-3">
      <Button variant="primary" onClick={begin}>
        <Plus aria-hidden /> {t("newConversation")}
      </Button>
      <Input
        type="search"
        aria-label={t("findConversations")}
        placeholder={t("findConversations")}
        value={words}
        maxLength={128}
        onChange={(event) => setWords(event.target.value)}
      />
      <Checkbox label={t("showArchived")} checked={archived} onChange={(event) => setArchived(event.target.checked)} />
      <nav aria-label={t("conversations")} className="min-h-0 flex-1 overflow-y-auto">
        {list.isPending && <Spinner label={t("loading")} />}
        {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
        {list.isSuccess && conversations.length === 0 && <Empty>{words ? t("nothingFound") : t("noConversations")}</Empty>}
        <ul>
          {conversations.map(({ id, title }) => (
            <li key={id}>
              <NavLink
                to={`/chat/${id}`}
                onClick={onChosen}
                className={({ isActive }) =>
                  cn("flex min-h-target items-center rounded-md px-3 hover:bg-ground", isActive && "bg-ground font-semibold")
                }
              >
                <span className="truncate">{title ?? t("untitled")}</span>
              </NavLink>
            </li>
          ))}
        </ul>
        {list.hasNextPage && (
          <Button className="mt-2 w-full" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            {t("more")}
          </Button>
        )}
      </nav>
    </div>
  );
}
