import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Suspense, lazy, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { useAccount } from "@/account";
import { ApiError, api, body } from "@/api/client";
import type { Question } from "@/api/run";
import type { Citation, Message, Transcript } from "@/api/types";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useTitle } from "@/components/page";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn } from "@/lib/utils";
import { inSpace, spaceOf } from "@/space/space";
import { useSpaceOf } from "@/space/use-space";
import { DocumentPanel } from "@/viewer/document-panel";
import { citationLocation } from "@/viewer/location";
import type { AgentChoice } from "./agent-select";
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
/** How often a team's conversation is read again, for what other members ask. */
const TEAM_MS = 15_000;
/** When to look for the title of a conversation that had none: a moment after its first answer. */
const TITLE_DELAY_MS = 3_000;

/** When to look for an answer that is complete but not in its conversation yet. */
const STORED_DELAYS_MS = [0, 500, 2_000];

function transcriptQuery(id: string | undefined) {
  return {
    queryKey: ["conversation", id],
    queryFn: async () => {
      const params = { path: { id: id as string }, query: { branches: "all" as const } };
      return (await body(api.GET("/v1/conversations/{id}", { params }))) as unknown as Transcript;
    },
  };
}

function useTranscript(id: string | undefined) {
  return useQuery({
    ...transcriptQuery(id),
    enabled: id !== undefined,
    refetchInterval: ({ state }) => {
      const isWatched = state.data?.messages.some(({ status }) => status === "streaming");
      if (id && liveRuns.get(id)) return false;
      if (isWatched) return WATCH_MS;
      return state.data?.team_id ? TEAM_MS : false;
    },
  });
}

/** Asks questions, in a new conversation of the space if there is none yet. */
function useAsk(conversation: string | undefined, team: string | undefined) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const user = useAccount().id;
  const refreshList = useRefreshConversations();
  const [failure, setFailure] = useState<unknown>();
  const settle = useCallback(
    async (id: string, run: LiveRun) => {
      const wasNotStarted = run.status === "failed" && !run.runId;
      if (wasNotStarted && run.question?.message) restoreDraft(user, id, run.question.message);
      const query = transcriptQuery(id);
      for (const delay of STORED_DELAYS_MS) {
        await new Promise((resolve) => setTimeout(resolve, delay));
        // A request that was sent before the end may be answered without it; and a new conversation, whose answer
        // comes at once, may not be on the page yet.
        await queries.cancelQueries({ queryKey: query.queryKey });
        const transcript = await queries.fetchQuery({ ...query, staleTime: 0 }).catch(() => undefined);
        if (run.status !== "ended") break;
        if (!transcript || !isStored(transcript.messages, run)) continue;
        liveRuns.forget(id);
        break;
      }
      const isUntitled = !queries.getQueryData<Transcript>(query.queryKey)?.title;
      if (isUntitled) setTimeout(() => void refreshList(), TITLE_DELAY_MS);
    },
    [queries, refreshList, user],
  );
  const ask = async (question: Question) => {
    setFailure(undefined);
    let id = conversation;
    try {
      if (!id) {
        const created = await body(api.POST("/v1/conversations", { body: team ? { team_id: team } : {} }));
        id = created.id;
        // It is known to be empty: that need not be asked for.
        queries.setQueryData<Transcript>(transcriptQuery(id).queryKey, { ...created, messages: [] });
        await navigate(inSpace(`/chat/${id}`, team), { replace: true });
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
  const [parameters] = useSearchParams();
  // A conversation says itself whose it is; a link to it may not.
  const space = useSpaceOf(transcript.data ? transcript.data.team_id : spaceOf(parameters));
  const { ask, settle, failure } = useAsk(id, space.team);
  const [agent, setAgent] = useState<AgentChoice>("");
  const [open, setOpen] = useState<OpenCitation>();
  const [isListOpen, setListOpen] = useState(false);
  const input = useRef<HTMLTextAreaElement>(null);
  const isWriting = live?.status === "writing" || live?.status === "stopping";
  const listedTitle = useListedTitle(id, space.team);
  const conversation = transcript.data && { ...transcript.data, title: transcript.data.title ?? listedTitle };
  useTitle(conversation?.title ?? t("chat"));
  useEffect(() => setOpen(undefined), [id]);
  useEffect(() => {
    if (!id) input.current?.focus();
    const resumed = id ? liveRuns.resume(id) : undefined;
    if (id) void resumed?.then((run) => settle(id, run));
  }, [id, settle]);
  const stop = useCallback(() => id && void liveRuns.stop(id), [id]);
  useChatShortcuts({ input, onStop: stop, begin: inSpace("/chat", space.team) });

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
  const by = agent ? { agent } : {};
  const actions = {
    busy: isWriting,
    readOnly: !space.mayContribute,
    onCitation: openCitation,
    onEdit: (message: Message, text: string) => void ask({ ...by, message: text, parent_id: message.parent_id ?? null }),
    onRegenerate: (question: string) => void ask({ ...by, regenerate: true, parent_id: question }),
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
  const send = (text: string, tier: Tier) => void ask({ ...by, message: text, ...(tier && { model: tier }) });
  const isMissing = transcript.error instanceof ApiError && transcript.error.status === 404;
  const citation = open?.citation;
  const location = useMemo(
    () => (citation && citation.kind !== "reading" ? citationLocation(citation) : undefined),
    [citation],
  );
  return (
    <div className="flex h-full min-h-0 print-flow">
      <div className={cn("no-print hidden w-72 shrink-0 border-r border-line bg-surface lg:block", open && "lg:hidden 2xl:block")}>
        <ConversationList space={space} />
      </div>
      {isListOpen && (
        <ListDrawer onClose={() => setListOpen(false)}>
          <ConversationList space={space} onChosen={() => setListOpen(false)} />
        </ListDrawer>
      )}
      <main className="flex min-h-0 min-w-0 flex-1 flex-col print-flow">
        <ConversationHeader
          conversation={conversation}
          space={space}
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
        {id || live ? (
          <Thread path={path} live={live} actions={actions} onRetry={retry} />
        ) : (
          <Welcome team={space.details?.name} />
        )}
        {failure !== undefined && (
          <div className="p-3">
            <Notice>{failure instanceof ApiError ? failure.message : t("error.connection")}</Notice>
          </div>
        )}
        {id && !isMissing && !space.team && <MemorySuggestions key={`memories ${id}`} conversation={id} isWriting={isWriting} />}
        {!isMissing && space.team && !space.mayContribute && <ReadOnly isKnown={space.details !== undefined} />}
        {!isMissing && space.mayContribute && (
          <Composer
            key={id ?? "new"}
            conversation={id ?? "new"}
            input={input}
            writing={isWriting}
            stopping={live?.status === "stopping"}
            agent={agent}
            onAgent={setAgent}
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

/** In place of the question: the user only reads in this team. */
function ReadOnly({ isKnown }: { isKnown: boolean }) {
  const { t } = useI18n();
  if (!isKnown) return null;
  return (
    <div className="no-print border-t border-line p-3">
      <p className="mx-auto max-w-3xl text-quiet">{t("space.readOnly")}</p>
    </div>
  );
}

function Welcome({ team }: { team: string | undefined }) {
  const { t } = useI18n();
  const { tenant } = useAccount();
  return (
    <div className="flex min-h-0 flex-1 flex-col items-center justify-center gap-2 overflow-y-auto p-6 text-center">
      <h2 className="text-xl">{t("welcome", { plant: visibleText(team ?? tenant.name) })}</h2>
      <p className="max-w-md text-quiet">{t("welcomeHint")}</p>
    </div>
  );
}
