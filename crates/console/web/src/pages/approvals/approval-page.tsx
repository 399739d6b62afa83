import { useState } from "react";
import { Link, useParams } from "react-router";
import { isAdmin, useAccount } from "@/account";
import type { Approval } from "@/api/types";
import { Page } from "@/components/page";
import { Button, buttonVariants } from "@/components/ui/button";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import type { JsonValue } from "@/lib/merge-patch";
import { cn } from "@/lib/utils";
import { digestContent, outcomeReason, waitsFor } from "./approval";
import { Decide, Refusal, Withdraw } from "./decide";
import { Differences, ExactValue, Preview } from "./payload";
import { useApproval, useInbox, usePeople } from "./queries";
import { ApprovalState, Expiry, Quorum, useActionName } from "./state";
import { useDecision } from "./use-decision";

function Facts({ approval, who }: { approval: Approval; who: (id: string) => string }) {
  const { t, moment } = useI18n();
  const facts: [string, string | null | undefined][] = [
    [t("approval.tool"), `${approval.tool}, ${t("version", { version: approval.tool_version })}`],
    [t("approval.target"), visibleText(approval.target)],
    [t("approval.requester"), who(approval.requested_by)],
    [t("approval.requestedAt"), moment(approval.created_at)],
    [t("approval.reason"), approval.reason && visibleText(approval.reason)],
    [t("approval.expires"), moment(approval.expires_at)],
    [t("approval.policy"), t("approval.policyOf", { required: approval.required, version: approval.policy_version })],
  ];
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-quiet">{name}</dt>
            <dd className="[overflow-wrap:anywhere]">{value}</dd>
          </div>
        ))}
      <div className="contents">
        <dt className="text-quiet">{t("approval.digest")}</dt>
        <dd className="font-mono text-sm [overflow-wrap:anywhere]">{approval.digest}</dd>
      </div>
    </dl>
  );
}

function Decisions({ approval, who }: { approval: Approval; who: (id: string) => string }) {
  const { t, moment } = useI18n();
  return (
    <section aria-labelledby="decisions" className="flex flex-col gap-2">
      <h2 id="decisions">{t("approval.decisions")}</h2>
      <p className="text-quiet">
        <Quorum approval={approval} />
      </p>
      <ul className="flex flex-col gap-2">
        {approval.decisions.map(({ by, decision, comment, at }) => (
          <li key={by} className="rounded-md border border-line bg-raised p-3 [overflow-wrap:anywhere]">
            <p>
              <span className="font-semibold">{t(`approval.verdict.${decision}`)}</span>{" "}
              <span className="text-quiet">{t("approval.decidedBy", { name: who(by), at: moment(at) })}</span>
            </p>
            {comment && <p className="whitespace-pre-wrap">{visibleText(comment)}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What became of a request that was decided. */
function Outcome({ approval: { status, result, error } }: { approval: Approval }) {
  const { t } = useI18n();
  const reason = error && outcomeReason(error.code);
  return (
    <>
      {error && (
        <Notice>
          {t("approval.notExecuted")} {reason ? t(reason) : visibleText(error.detail)}
        </Notice>
      )}
      {(status === "approved" || status === "executing") && <Notice tone="plain">{t("approval.beingExecuted")}</Notice>}
      {result && (
        <section aria-labelledby="result" className="flex flex-col gap-2">
          <h2 id="result">{t("approval.result")}</h2>
          <ExactValue value={result} />
        </section>
      )}
    </>
  );
}

/** The request is not the one that was read any more: says what changed, before anything can be decided. */
function Changed({ read, now, onRead }: { read: Approval; now: Approval; onRead: () => void }) {
  const { t } = useI18n();
  const content = (approval: Approval) => digestContent(approval) as unknown as JsonValue;
  return (
    <Notice tone="warning" action={<Button onClick={onRead}>{t("approval.haveRead")}</Button>}>
      <p className="font-semibold">{t("approval.changed")}</p>
      <Differences before={content(read)} after={content(now)} name={t("approval.changed")} />
    </Notice>
  );
}

/** Whether the user may decide on it, as far as the console can tell; the platform decides anyway. */
function useMayDecide({ id, requested_by }: Approval): boolean {
  const account = useAccount();
  const inbox = useInbox(isAdmin(account));
  if (requested_by === account.id) return false;
  // Whoever is no admin reads requests of others as their approver only.
  if (!isAdmin(account) || inbox.data === undefined) return true;
  return inbox.data.has_more || inbox.data.data.some((one) => one.id === id);
}

function OneApproval({ approval }: { approval: Approval }) {
  const { t } = useI18n();
  const account = useAccount();
  const who = usePeople(t("byYou"));
  const mayDecide = useMayDecide(approval);
  // What the user has on the screen when deciding; a request that changes meanwhile has to be read first.
  const [read, setRead] = useState(approval);
  const decision = useDecision(read);
  const isChanged = read.digest !== approval.digest;
  const isOwn = approval.requested_by === account.id;
  const isPending = approval.status === "pending";
  return (
    <>
      <div className="flex flex-wrap items-center gap-3">
        <span role="status">
          <ApprovalState status={approval.status} />
        </span>
        {isPending && <Expiry at={approval.expires_at} />}
      </div>
      {decision.isError && <Refusal error={decision.error} />}
      <Outcome approval={approval} />
      {isChanged && <Changed read={read} now={approval} onRead={() => setRead(approval)} />}
      <section aria-labelledby="preview" className="flex flex-col gap-2 rounded-lg border border-line bg-raised p-4">
        <h2 id="preview">{t("approval.whatChanges")}</h2>
        <Preview preview={approval.preview} />
      </section>
      <section aria-labelledby="arguments" className="flex flex-col gap-2">
        <h2 id="arguments">{t("approval.arguments")}</h2>
        <ExactValue value={approval.arguments} />
      </section>
      <Facts approval={approval} who={who} />
      <Decisions approval={approval} who={who} />
      {isPending && mayDecide && waitsFor(approval, account.id) && (
        <Decide approval={read} who={who} decision={decision} isChanged={isChanged} />
      )}
      {isPending && !isOwn && !mayDecide && <Notice tone="plain">{t("approval.error.notApprover")}</Notice>}
      {isPending && isOwn && <Withdraw approval={approval} />}
    </>
  );
}

/** One request for approval, with all that an approver needs to know. */
export function ApprovalPage() {
  const { t } = useI18n();
  const { id = "" } = useParams();
  const approval = useApproval(id);
  const actionName = useActionName();
  const title = approval.data
    ? t("approval.summary", { action: actionName(approval.data), target: visibleText(approval.data.target) })
    : t("approval.one");
  return (
    <Page title={title}>
      <Link to="/approvals" className={cn(buttonVariants(), "no-print self-start")}>
        {t("approval.backToList")}
      </Link>
      {approval.isPending && <Spinner label={t("loading")} />}
      {approval.isError && <LoadError error={approval.error} retry={() => void approval.refetch()} />}
      {approval.data && <OneApproval key={id} approval={approval.data} />}
    </Page>
  );
}
