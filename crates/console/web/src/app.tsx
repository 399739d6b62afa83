import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Suspense, lazy, useEffect, useRef } from "react";
import { BrowserRouter, Navigate, Route, Routes } from "react-router";
import { AccountProvider, useAccount } from "@/account";
import { ApiError } from "@/api/client";
import { useIdleLock } from "@/auth/idle-lock";
import { type SignInReason, signOut, useSession } from "@/auth/session";
import { REMEMBERED, SignInAgainDialog, SignInPage } from "@/auth/sign-in";
import { Empty, Spinner } from "@/components/ui/feedback";
import { Page } from "@/components/page";
import { useDisplay } from "@/display";
import { useI18n } from "@/i18n";
import { drafts } from "@/lib/drafts";
import { tabState } from "@/lib/storage";
import { Navigation } from "@/navigation";
import { PlantModeBanner } from "@/components/plant-mode-banner";
import { ChatPage } from "@/pages/chat/chat-page";
import { liveRuns } from "@/pages/chat/live-runs";
import { settings } from "@/settings";

const SearchPage = lazy(async () => ({ default: (await import("@/pages/search-page")).SearchPage }));
const DocumentsPage = lazy(async () => ({ default: (await import("@/pages/documents/documents-page")).DocumentsPage }));
const DocumentPage = lazy(async () => ({ default: (await import("@/pages/documents/document-page")).DocumentPage }));
const ProcedurePage = lazy(async () => ({ default: (await import("@/pages/procedure/procedure-page")).ProcedurePage }));
const ApprovalsPage = lazy(async () => ({ default: (await import("@/pages/approvals/approvals-page")).ApprovalsPage }));
const ApprovalPage = lazy(async () => ({ default: (await import("@/pages/approvals/approval-page")).ApprovalPage }));
const GoalsPage = lazy(async () => ({ default: (await import("@/pages/goals/goals-page")).GoalsPage }));
const GoalPage = lazy(async () => ({ default: (await import("@/pages/goals/goal-page")).GoalPage }));
const TeamsPage = lazy(async () => ({ default: (await import("@/pages/teams/teams-page")).TeamsPage }));
const TeamPage = lazy(async () => ({ default: (await import("@/pages/teams/team-page")).TeamPage }));
const PlantPages = lazy(async () => ({ default: (await import("@/pages/plant/plant-pages")).PlantPages }));
const MemoriesPage = lazy(async () => ({ default: (await import("@/pages/memories-page")).MemoriesPage }));
const TokensPage = lazy(async () => ({ default: (await import("@/pages/tokens/tokens-page")).TokensPage }));
const DisplayPage = lazy(async () => ({ default: (await import("@/pages/display-page")).DisplayPage }));
const AdminPages = lazy(async () => ({ default: (await import("@/pages/admin/admin-pages")).AdminPages }));

/** Failed requests are sent again if that may help: never those that the platform refused. */
function shouldRetry(failures: number, error: unknown) {
  const isRefused = error instanceof ApiError && error.status < 500 && error.status !== 429;
  return !isRefused && failures < 2;
}

/** After as long as the platform says, otherwise after 1, 2, 4 … seconds. */
function retryDelay(failures: number, error: unknown) {
  const wanted = error instanceof ApiError ? error.retryAfter : undefined;
  return (wanted ?? Math.min(2 ** failures, 15)) * 1_000;
}

// Requests count towards their user's limit, which is low for viewers: nothing is loaded again just in case.
const queries = new QueryClient({
  defaultOptions: { queries: { retry: shouldRetry, retryDelay, staleTime: 60_000, refetchOnWindowFocus: false } },
});

/** Forgets what the next user of this browser must not see. */
function forgetUser() {
  queries.clear();
  liveRuns.forgetAll();
}

async function leave() {
  const wasIssuer = tabState.get(REMEMBERED) === "issuer";
  tabState.set(REMEMBERED, null);
  drafts.clearAll();
  tabState.clear("rating.");
  forgetUser();
  signOut();
  history.replaceState(null, "", "/ui/");
  if (wasIssuer && settings.sign_in) {
    const { endSession } = await import("@/auth/oidc");
    await endSession(settings.sign_in).catch(() => undefined);
  }
}

function NotFound() {
  const { t } = useI18n();
  return (
    <Page title={t("pageMissing")}>
      <Empty>{t("pageMissingHint")}</Empty>
    </Page>
  );
}

function Pages() {
  const { t } = useI18n();
  return (
    <Suspense fallback={<Spinner label={t("loading")} />}>
      <Routes>
        <Route path="/" element={<Navigate to="/chat" replace />} />
        <Route path="/chat/:id?" element={<ChatPage />} />
        <Route path="/search" element={<SearchPage />} />
        <Route path="/documents" element={<DocumentsPage />} />
        <Route path="/documents/:id" element={<DocumentPage />} />
        <Route path="/documents/:id/steps" element={<ProcedurePage />} />
        <Route path="/approvals" element={<ApprovalsPage />} />
        <Route path="/approvals/:id" element={<ApprovalPage />} />
        <Route path="/goals" element={<GoalsPage />} />
        <Route path="/goals/:id" element={<GoalPage />} />
        <Route path="/teams" element={<TeamsPage />} />
        <Route path="/teams/:id" element={<TeamPage />} />
        <Route path="/plant/*" element={<PlantPages />} />
        <Route path="/memories" element={<MemoriesPage />} />
        <Route path="/tokens" element={<TokensPage />} />
        <Route path="/display" element={<DisplayPage />} />
        <Route path="/admin/*" element={<AdminPages />} />
        <Route path="*" element={<NotFound />} />
      </Routes>
    </Suspense>
  );
}

/** Another user after a lock must not see what the one before looked at. */
function OneUser({ children }: { children: React.ReactNode }) {
  const { id } = useAccount();
  const first = useRef(id);
  useEffect(() => {
    if (first.current !== id) location.assign("/ui/");
  }, [id]);
  return first.current === id ? children : null;
}

function Shell({ interruption }: { interruption: SignInReason | undefined }) {
  const { t } = useI18n();
  const isLocked = interruption === "locked";
  return (
    <>
      <div className={isLocked ? "hidden" : "flex h-dvh flex-col md:flex-row print-flow"}>
        <a
          href="#content"
          className="sr-only focus:not-sr-only focus:absolute focus:top-2 focus:left-2 focus:z-50 focus:rounded focus:bg-raised focus:p-3"
        >
          {t("skipToContent")}
        </a>
        <Navigation onSignOut={() => void leave()} />
        <div id="content" tabIndex={-1} className="flex min-h-0 min-w-0 flex-1 flex-col outline-none print-flow">
          <PlantModeBanner />
          <div className="min-h-0 flex-1 print-flow">
            <Pages />
          </div>
        </div>
      </div>
      <SignInAgainDialog reason={interruption} />
    </>
  );
}

function SignedIn({ interruption }: { interruption: SignInReason | undefined }) {
  const { lockAfterMinutes } = useDisplay();
  useIdleLock(lockAfterMinutes, interruption === undefined);
  const wasInterrupted = useRef(false);
  useEffect(() => {
    // What failed for want of a token is loaded with the new one.
    if (!interruption && wasInterrupted.current) void queries.invalidateQueries();
    wasInterrupted.current = interruption !== undefined;
  }, [interruption]);
  return (
    <AccountProvider>
      <OneUser>
        <BrowserRouter basename="/ui">
          <Shell interruption={interruption} />
        </BrowserRouter>
      </OneUser>
    </AccountProvider>
  );
}

export function App({ signInFailed }: { signInFailed: boolean }) {
  const session = useSession();
  return (
    <QueryClientProvider client={queries}>
      {session.status === "signed-out" ? (
        <SignInPage failed={signInFailed} />
      ) : (
        <SignedIn interruption={session.status === "interrupted" ? session.reason : undefined} />
      )}
    </QueryClientProvider>
  );
}
