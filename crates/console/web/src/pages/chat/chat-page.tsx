import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Suspense, lazy, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { useAccount } from "@/account";
import { ApiError, api, body } from "@/api/client";
import type { Question } from "@/api/run";
import type { Citation, Message, Transcript } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useTitle } from "@/components/page";
import { useI18n } from "@/i18n";
import { cn } from "@/lib/utils";
import { DocumentPanel } from "@/viewer/document-panel";
import { citationLocation } from "@/viewer/location";
import { branch, newestLeaf } from "./branches";
import { Composer, type Tier, restoreDraft } from "./composer";
import { ConversationHeader } from "./conversation-header";
import { ConversationList, useListedTitle, useRefreshConversations } from "./conversation-list";
import { ListDrawer } from "./list-drawer";
import { type LiveRun, liveRuns, useLiveRun } from "./live-runs";
import { MemorySuggestions } from "./memory-suggestions";
import { Thread, isStored } from "./thread";
import { useChatShortcuts } from "./shortcuts";

const TagPanel = lazy(async () => ({ default: (await import("@/pages/plant/tag-panel")).TagPanel }));

/** How often a conversation is read again while another tab or device has an answer written in it. */
const WATCH_MS = 5_000;
/** When to look for the title of a conversation that had none: a moment after its first answer. */
const TITLE_DELAY_MS = 3_000;

function useTranscript(id: string | undefined) {
  return useQuery({
    queryKey: ["conversation", id],
    enabled: id !== undefined,
    queryFn: async () => {
      const params = { path: { id: id as string }, query: { branches: "all" as const } };
      return (await body(api.GET("/v1/conversations/{id}", { params }))) as unknown as Transcript;
    },
    refetchInterval: ({ state }) => {
      const isWatched = state.data?.messages.some(({ status }) => status === "streaming");
      return isWatched && !(id && liveRuns.get(id)) ? WATCH_MS : false;
    },
  });
}

/** Asks questions, in a new conversation if there is none yet. */
function useAsk(conversation: string | undefined) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const user = useAccount().id;
  const refreshList = useRefreshConversations();
  const [failure, setFailure] = useState<unknown>();
  const settle = useCallback(
    async (id: string, run: LiveRun) => {
      const wasNotStarted = run.status === "failed" && !run.runId;
      if (wasNotStarted && run.question?.message) restoreDraft(user, id, run.question.message);
      await queries.refetchQueries({ queryKey: ["conversation", id] });
      const transcript = queries.getQueryData<{ messages: Message[] }>(["conversation", id]);
      if (run.status === "ended" && transcript && isStored(transcript.messages, run)) liveRuns.forget(id);
      const isUntitled = !queries.getQueryData<{ title?: string | null }>(["conversation", id])?.title;
      if (isUntitled) setTimeout(() => void refreshList(), TITLE_DELAY_MS);
    },
    [queries, refreshList, user],
  );
  const ask = async (question: Question) => {
    setFailure(undefined);
    let id = conversation;
    try {
      if (!id) {
        id = (await body(api.POST("/v1/conversations", { body: {} }))).id;
        await navigate(`/chat/${id}`, { replace: true });
      }
      await settle(id, await liveRuns.start(id, question));
    } catch (error) {
      setFailure(error);
      if (question.message) restoreDraft(user, id ?? "new", question.message);
    }
  };
  return { ask, settle, failure };
}

interface OpenCitation {
  citation: Citation;
}

export function ChatPage() {
  const { id } = useParams();
  const { t } = useI18n();
  const transcript = useTranscript(id);
  const queries = useQueryClient();
  const live = useLiveRun(id);
  const { ask, settle, failure } = useAsk(id);
  const [open, setOpen] = useState<OpenCitation>();
  const [isListOpen, setListOpen] = useState(false);
  const input = useRef<HTMLTextAreaElement>(null);
  const isWriting = live?.status === "writing" || live?.status === "stopping";
  const listedTitle = useListedTitle(id);
  const conversation = transcript.data && { ...transcript.data, title: transcript.data.title ?? listedTitle };
  useTitle(conversation?.title ?? t("chat"));
  useEffect(() => setOpen(undefined), [id]);
  useEffect(() => {
    if (!id) input.current?.focus();
    const resumed = id ? liveRuns.resume(id) : undefined;
    if (id) void resumed?.then((run) => settle(id, run));
  }, [id, settle]);
  const stop = useCallback(() => id && void liveRuns.stop(id), [id]);
  useChatShortcuts({ input, onStop: stop });

  const messages = transcript.data?.messages;
  const path = useMemo(() => branch(messages ?? [], transcript.data?.active_message_id), [messages, transcript.data]);
  const refresh = () => void queries.invalidateQueries({ queryKey: ["conversation", id] });
  const openCitation = useCallback((citation: Citation) => setOpen({ citation }), []);
  const showVersion = async (version: Message) => {
    if (!id || !messages) return;
    const change = { active_message_id: newestLeaf(messages, version.id) };
    await api.PATCH("/v1/conversations/{id}", { params: { path: { id } }, body: change });
    refresh();
  };
  const actions = {
    busy: isWriting,
    onCitation: openCitation,
    onEdit: (message: Message, text: string) => void ask({ message: text, parent_id: message.parent_id ?? null }),
    onRegenerate: (question: string) => void ask({ regenerate: true, parent_id: question }),
    onVersion: (version: Message) => void showVersion(version).catch(refresh),
  };
  const retry = () => {
    if (!id || !live) return;
    liveRuns.forget(id);
    const stored = path.findLast(({ message }) => message.role === "user" && message.content === live.question?.message);
    if (live.runId && stored) void ask({ regenerate: true, parent_id: stored.message.id });
    else if (live.question) void ask(live.question);
    else refresh();
  };
  const send = (text: string, tier: Tier) => void ask({ message: text, ...(tier && { model: tier }) });
  const isMissing = transcript.error instanceof ApiError && transcript.error.status === 404;
  const citation = open?.citation;
  const location = useMemo(
    () => (citation && citation.kind !== "reading" ? citationLocation(citation) : undefined),
    [citation],
  );
  return (
    <div className="flex h-full min-h-0 print-flow">
      <div className={cn("no-print hidden w-72 shrink-0 border-r border-line bg-surface lg:block", open && "lg:hidden 2xl:block")}>
        <ConversationList />
      </div>
      {isListOpen && (
        <ListDrawer onClose={() => setListOpen(false)}>
          <ConversationList onChosen={() => setListOpen(false)} />
        </ListDrawer>
      )}
      <main className="flex min-h-0 min-w-0 flex-1 flex-col print-flow">
        <ConversationHeader
          conversation={conversation}
          isListHidden={open !== undefined}
          onChanged={refresh}
          onList={() => setListOpen(true)}
        />
        {id && transcript.isPending && !live && <Spinner label={t("loading")} />}
        {isMissing && (
          <div className="p-4">
            <Notice tone="warning">{t("conversationMissing")}</Notice>
          </div>
        )}
        {transcript.isError && !isMissing && <LoadError error={transcript.error} retry={() => void transcript.refetch()} />}
        {id || live ? <Thread path={path} live={live} actions={actions} onRetry={retry} /> : <Welcome />}
        {failure !== undefined && (
          <div className="p-3">
            <Notice>{failure instanceof ApiError ? failure.message : t("error.connection")}</Notice>
          </div>
        )}
        {id && !isMissing && <MemorySuggestions key={`memories ${id}`} conversation={id} isWriting={isWriting} />}
        {!isMissing && (
          <Composer
            key={id ?? "new"}
            conversation={id ?? "new"}
            input={input}
            writing={isWriting}
            stopping={live?.status === "stopping"}
            onSend={send}
            onStop={stop}
          />
        )}
      </main>
      {citation && citation.kind !== "reading" && location && (
        <DocumentPanel title={citation.doc} location={location} onClose={() => setOpen(undefined)} />
      )}
      {citation?.kind === "reading" && (
        <Suspense>
          <TagPanel tag={citation.tag} onClose={() => setOpen(undefined)} />
        </Suspense>
      )}
    </div>
  );
}

function Welcome() {
  const { t } = useI18n();
  const { tenant } = useAccount();
  return (
    <div className="flex min-h-0 flex-1 flex-col items-center justify-center gap-2 overflow-y-auto p-6 text-center">
      <h2 className="text-xl">{t("welcome", { plant: tenant.name })}</h2>
      <p className="max-w-md text-quiet">{t("welcomeHint")}</p>
    </div>
  );
}
