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
import { inSpace } from "@/space/space";
import { SpaceSwitch } from "@/space/space-switch";
import type { Space } from "@/space/use-space";

export const CONVERSATIONS = "conversations";

/** Loads the lists of conversations again, after one of them changed. */
export function useRefreshConversations() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: [CONVERSATIONS] });
}

/** The title of a conversation in the list, if that has been loaded. */
export function useListedTitle(id: string | undefined, team: string | undefined): string | null | undefined {
  const list = useConversations({ words: "", archived: false, team }, false);
  return list.data?.pages.flatMap((page) => page.data).find((conversation) => conversation.id === id)?.title;
}

interface Listed {
  words: string;
  archived: boolean;
  /** Whose conversations are listed; the user's own without it. */
  team: string | undefined;
}

function useConversations({ words, archived, team }: Listed, enabled = true) {
  return useInfiniteQuery({
    queryKey: [CONVERSATIONS, words, archived, team],
    enabled,
    queryFn: ({ pageParam }) => {
      const wanted = { q: words || undefined, archived: archived ? ("true" as const) : undefined, team_id: team };
      const query = { ...wanted, cursor: pageParam, limit: 30 };
      return body(api.GET("/v1/conversations", { params: { query } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

interface ConversationListProps {
  space: Space;
  onChosen?: () => void;
}

/** The conversations of a space, or the user's own: to search, to open, to start. */
export function ConversationList({ space: { team, mayContribute }, onChosen }: ConversationListProps) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const [words, setWords] = useState("");
  const [archived, setArchived] = useState(false);
  const list = useConversations({ words: useDeferredValue(words.trim()), archived, team });
  const conversations = list.data?.pages.flatMap((page) => page.data) ?? [];
  const begin = () => {
    void navigate(inSpace("/chat", team));
    onChosen?.();
  };
  const choose = (chosen: string | undefined) => void navigate(inSpace("/chat", chosen));
  return (
    <div className="flex h-full min-h-0 flex-col gap-2 p-3">
      <SpaceSwitch team={team} onChange={choose} className="max-w-none" />
      {mayContribute && (
        <Button variant="primary" onClick={begin}>
          <Plus aria-hidden /> {t("newConversation")}
        </Button>
      )}
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
        {list.isSuccess && conversations.length === 0 && <Empty>{t(words ? "nothingFound" : team ? "space.noConversations" : "noConversations")}</Empty>}
        <ul>
          {conversations.map(({ id, title }) => (
            <li key={id}>
              <NavLink
                to={inSpace(`/chat/${id}`, team)}
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
