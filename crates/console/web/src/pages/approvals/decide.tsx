// The decision of an approver, and the withdrawal by the requester.

import { Check, X } from "lucide-react";
import { useState } from "react";
import type { Approval } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/feedback";
import { Field, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { useFormDraft } from "@/lib/use-form-draft";
import { type Verdict, refusal } from "./approval";
import { useActionName } from "./state";
import { type Decision, useWithdrawal } from "./use-decision";

interface Draft {
  comment: string;
  /** What the user is about to confirm. It outlasts a login at the issuer, which leaves the page. */
  verdict: Verdict | null;
}

const EMPTY: Draft = { comment: "", verdict: null };

/** Why a decision was refused, and what to do. */
export function Refusal({ error }: { error: unknown }) {
  const { t } = useI18n();
  const known = refusal(error);
  if (known) return <Notice>{t(known)}</Notice>;
  return <Notice>{error instanceof Error && error.message ? error.message : t("notReachable")}</Notice>;
}

/** Repeats what is decided on: the action, its target and who asked for it. */
function WhatIsDecided({ approval, who, comment }: { approval: Approval; who: (id: string) => string; comment: string }) {
  const { t } = useI18n();
  const actionName = useActionName();
  const facts = [
    [t("approval.action"), actionName(approval)],
    [t("approval.target"), visibleText(approval.target)],
    [t("approval.requester"), who(approval.requested_by)],
    [t("approval.comment"), comment.trim() || t("approval.noComment")],
  ];
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1">
      {facts.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-quiet">{name}</dt>
          <dd className="font-semibold [overflow-wrap:anywhere]">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface DecideProps {
  /** The request as the user has read it. */
  approval: Approval;
  who: (id: string) => string;
  decision: Decision;
  /** Nothing can be decided before the user has read what changed. */
  isChanged: boolean;
}

/** Comment, `Approve` and `Reject`, with a confirmation. */
export function Decide({ approval, who, decision, isChanged }: DecideProps) {
  const { t } = useI18n();
  const { fields, set } = useFormDraft<Draft>(`approval.${approval.id}`, EMPTY);
  const { comment, verdict } = fields;
  const choose = (next: Verdict) => {
    decision.reset();
    set({ comment, verdict: next });
  };
  const close = () => set({ comment, verdict: null });
  const confirm = () => {
    if (verdict) decision.mutate({ verdict, comment }, { onSuccess: () => set(EMPTY), onError: close });
  };
  const isApproval = verdict === "approve";
  return (
    <section aria-label={t("approval.yourDecision")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <Field label={t("approval.commentOptional")} hint={t("approval.commentHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            maxLength={2_000}
            value={comment}
            onChange={(event) => set({ comment: event.target.value, verdict })}
          />
        )}
      </Field>
      <div className="flex flex-wrap gap-2">
        <Button variant="primary" disabled={isChanged || decision.isPending} onClick={() => choose("approve")}>
          <Check aria-hidden /> {t("approve")}
        </Button>
        <Button disabled={isChanged || decision.isPending} onClick={() => choose("reject")}>
          <X aria-hidden /> {t("reject")}
        </Button>
      </div>
      <Dialog
        open={verdict !== null && !isChanged}
        onClose={decision.isPending ? undefined : close}
        title={t(isApproval ? "approval.confirmApproval" : "approval.confirmRejection")}
        description={t(isApproval ? "approval.confirmApprovalHint" : "approval.confirmRejectionHint")}
      >
        <WhatIsDecided approval={approval} who={who} comment={comment} />
        <div className="mt-4 flex flex-wrap justify-end gap-2">
          <Button disabled={decision.isPending} onClick={close}>
            {t("cancel")}
          </Button>
          <Button variant="primary" disabled={decision.isPending} onClick={confirm}>
            {t(isApproval ? "approve" : "reject")}
          </Button>
        </div>
      </Dialog>
    </section>
  );
}

/** What the requester can do: wait, or withdraw the request. */
export function Withdraw({ approval }: { approval: Approval }) {
  const { t } = useI18n();
  const actionName = useActionName();
  const [isAsking, setAsking] = useState(false);
  const withdrawal = useWithdrawal(approval.id);
  const close = () => setAsking(false);
  return (
    <section aria-label={t("approval.yourRequest")} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <p>{t("approval.othersDecide")}</p>
      {withdrawal.isError && <Refusal error={withdrawal.error} />}
      <Button className="self-start" disabled={withdrawal.isPending} onClick={() => setAsking(true)}>
        {t("approval.withdraw")}
      </Button>
      <Dialog open={isAsking} onClose={close} title={t("approval.confirmWithdrawal")} description={t("approval.confirmWithdrawalHint")}>
        <p className="font-semibold [overflow-wrap:anywhere]">
          {t("approval.summary", { action: actionName(approval), target: visibleText(approval.target) })}
        </p>
        <div className="mt-4 flex flex-wrap justify-end gap-2">
          <Button onClick={close}>{t("cancel")}</Button>
          <Button
            variant="primary"
            disabled={withdrawal.isPending}
            onClick={() => withdrawal.mutate(undefined, { onSettled: close })}
          >
            {t("approval.withdraw")}
          </Button>
        </div>
      </Dialog>
    </section>
  );
}
