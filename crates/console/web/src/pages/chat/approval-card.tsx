import { ClipboardCheck } from "lucide-react";
import { Link } from "react-router";
import { ApiError } from "@/api/client";
import { buttonVariants } from "@/components/ui/button";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn } from "@/lib/utils";
import { outcomeReason } from "@/pages/approvals/approval";
import { useApproval } from "@/pages/approvals/queries";
import { ApprovalState, Expiry, Quorum, useActionName } from "@/pages/approvals/state";
import type { ApprovalRequest } from "./live-runs";

interface ApprovalCardProps {
  id: string;
  /** What the run told of it, until it is loaded. */
  request?: ApprovalRequest;
}

/** A write that an answer asked for, with its state as it changes. */
export function ApprovalCard({ id, request }: ApprovalCardProps) {
  const { t } = useI18n();
  const actionName = useActionName();
  const { data, error } = useApproval(id);
  const shown = data ?? request;
  const reason = data?.error && outcomeReason(data.error.code);
  return (
    <section
      aria-label={t("approval.one")}
      className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-md border border-line bg-surface p-3"
    >
      <ClipboardCheck className="size-5 shrink-0" aria-hidden />
      <div className="min-w-0 flex-1 basis-52">
        <p className="font-semibold [overflow-wrap:anywhere]">
          {shown ? t("approval.summary", { action: actionName(shown), target: visibleText(shown.target) }) : t("approval.one")}
        </p>
        {data && data.status === "pending" && (
          <p className="text-sm text-quiet">
            <Quorum approval={data} />
          </p>
        )}
        {data?.error && <p className="text-sm">{reason ? t(reason) : visibleText(data.error.detail)}</p>}
        {error && !data && <p className="text-sm text-quiet">{error instanceof ApiError ? error.message : t("notReachable")}</p>}
      </div>
      {shown && (data?.status ?? "pending") === "pending" && <Expiry at={shown.expires_at} />}
      <span role="status">{data && <ApprovalState status={data.status} />}</span>
      <Link to={`/approvals/${id}`} className={cn(buttonVariants(), "no-print")}>
        {t("approval.open")}
      </Link>
    </section>
  );
}
