// The page and the dialog that sign a user in.

import { useQuery } from "@tanstack/react-query";
import { LogIn, UserRound } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useTitle } from "@/components/page";
import { useI18n } from "@/i18n";
import { tabState } from "@/lib/storage";
import { settings } from "@/settings";
import { type DevelopmentUser, developmentCredential, developmentUsers } from "./development";
import { type SignInReason, getSession, isLocked, signIn } from "./session";

/** How this tab was signed in, so that a reload does the same again. */
export const REMEMBERED = "sign-in";

async function leaveForIssuer(fresh: boolean) {
  if (!settings.sign_in) return;
  tabState.set(REMEMBERED, "issuer");
  const { beginSignIn } = await import("./oidc");
  const { pathname, search, hash } = window.location;
  const session = getSession();
  const claims = session.status === "interrupted" ? session.claims : undefined;
  await beginSignIn(settings.sign_in, pathname + search + hash, { fresh, claims });
}

function IssuerButton({ fresh }: { fresh: boolean }) {
  const { t } = useI18n();
  const [error, setError] = useState<string>();
  const start = () => leaveForIssuer(fresh).catch((cause: unknown) => setError(String(cause)));
  return (
    <div className="flex flex-col gap-3">
      <Button variant="primary" onClick={start} className="w-full">
        <LogIn aria-hidden /> {t("signIn")}
      </Button>
      {error && <Notice>{t("issuerNotReachable")}</Notice>}
    </div>
  );
}

function DevelopmentUsers() {
  const { t } = useI18n();
  const users = useQuery({ queryKey: ["development-users"], queryFn: developmentUsers, retry: 2 });
  const [failed, setFailed] = useState(false);
  const choose = async (user: DevelopmentUser) => {
    setFailed(false);
    try {
      const credential = await developmentCredential(user.id);
      const previous = tabState.get(REMEMBERED);
      const chosen = `development:${user.id}`;
      tabState.set(REMEMBERED, chosen);
      // Another user must not see the page of the one before: it is loaded anew.
      if (previous && previous !== chosen) location.assign("/ui/");
      else signIn(credential);
    } catch {
      setFailed(true);
      void users.refetch();
    }
  };
  if (users.isPending) return <Spinner label={t("loading")} />;
  if (users.isError) return <LoadError error={users.error} retry={() => void users.refetch()} />;
  return (
    <section aria-labelledby="development-users" className="flex flex-col gap-2">
      <h2 id="development-users" className="text-base">
        {t("developmentSignIn")}
      </h2>
      {users.data.length === 0 && <p className="text-quiet">{t("noDevelopmentUsers")}</p>}
      {failed && <Notice>{t("signInFailed")}</Notice>}
      <ul className="flex flex-col gap-2">
        {users.data.map((user) => (
          <li key={user.id}>
            <Button className="w-full justify-start" onClick={() => void choose(user)}>
              <UserRound aria-hidden />
              <span className="truncate">{user.name}</span>
              <span className="ml-auto text-sm font-normal text-quiet">{t(`role.${user.role}`)}</span>
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Choices({ fresh = false }: { fresh?: boolean }) {
  const { t } = useI18n();
  return (
    <div className="flex flex-col gap-5">
      {settings.sign_in && <IssuerButton fresh={fresh} />}
      {settings.development && <DevelopmentUsers />}
      {!settings.sign_in && !settings.development && <Notice tone="warning">{t("noSignIn")}</Notice>}
    </div>
  );
}

export function SignInPage({ failed }: { failed: boolean }) {
  const { t } = useI18n();
  useTitle(t("signIn"));
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="flex w-full max-w-md flex-col gap-5 rounded-lg border border-line bg-raised p-6">
        <div>
          <h1>{t("product")}</h1>
          <p className="text-quiet">{t("productSubtitle")}</p>
        </div>
        {failed && <Notice>{t("signInFailed")}</Notice>}
        {isLocked() && <Notice tone="plain">{t("signInLocked")}</Notice>}
        <Choices fresh={isLocked()} />
      </div>
    </main>
  );
}

const REASONS = { expired: "signInExpired", locked: "signInLocked", "step-up": "signInStepUp" } as const;

/** Asks for a new login over the page, which keeps what it shows and what was typed. */
export function SignInAgainDialog({ reason }: { reason: SignInReason | undefined }) {
  const { t } = useI18n();
  useEffect(() => {
    if (reason !== "locked") return;
    // The tab's name may be that of a conversation.
    const title = document.title;
    document.title = t("product");
    return () => {
      document.title = title;
    };
  }, [reason, t]);
  return (
    <Dialog staysWhenLocked open={reason !== undefined} title={t("signInAgain")} description={reason && t(REASONS[reason])}>
      <Choices fresh={reason === "locked" || reason === "step-up"} />
    </Dialog>
  );
}
