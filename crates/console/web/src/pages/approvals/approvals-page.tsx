import { Link, useSearchParams } from "react-router";
import { isAdmin, useAccount } from "@/account";
import { api, body } from "@/api/client";
import type { Approval } from "@/api/types";
import { Page } from "@/components/page";
import { PagedList, usePages } from "@/components/pages";
import { Badge } from "@/components/ui/feedback";
import { Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { type ApprovalStatus, STATUSES, waitsFor } from "./approval";
import { APPROVALS_KEY, useInbox, usePeople } from "./queries";
import { ApprovalState, Expiry, Quorum, useActionName } from "./state";

const ROLES = ["approver", "requester"] as const;
type Part = (typeof ROLES)[number];

const POLL_MS = 15_000;

/** What is listed. It is in the address; without it, what is pending. */
interface Filter {
  role?: Part;
  status?: ApprovalStatus;
}

function filterOf(parameters: URLSearchParams): Filter {
  const status = parameters.get("status") ?? "pending";
  return {
    role: ROLES.find((role) => role === parameters.get("role")),
    status: STATUSES.find((one) => one === status),
  };
}

function Row({ approval, waits, who }: { approval: Approval; waits: boolean; who: (id: string) => string }) {
  const { t, moment } = useI18n();
  const actionName = useActionName();
  const { id, target, requested_by, created_at, status, expires_at } = approval;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <Link
          to={`/approvals/${id}`}
          className="inline-flex min-h-target min-w-target items-center font-semibold underline-offset-4 [overflow-wrap:anywhere] hover:underline"
        >
          {t("approval.summary", { action: actionName(approval), target: visibleText(target) })}
        </Link>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">
          {t("approval.requestedBy", { name: who(requested_by), at: moment(created_at) })}
        </p>
      </div>
      <div className="flex flex-wrap items-center gap-2">
        {status === "pending" && <Expiry at={expires_at} />}
        {approval.required > 1 && (
          <span className="text-sm text-quiet">
            <Quorum approval={approval} />
          </span>
        )}
        {waits && <Badge>{t("approval.waitsForYou")}</Badge>}
        <ApprovalState status={status} />
      </div>
    </li>
  );
}

function FilterForm({ filter, onChange }: { filter: Filter; onChange: (name: keyof Filter, value: string) => void }) {
  const { t } = useI18n();
  return (
    <div className="flex flex-wrap gap-3">
      <Field label={t("approval.part")} className="max-w-72 flex-1 basis-40">
        {(ids) => (
          <Select {...ids} value={filter.role ?? ""} onChange={(event) => onChange("role", event.target.value)}>
            <option value="">{t("all")}</option>
            {ROLES.map((role) => (
              <option key={role} value={role}>
                {t(`approval.role.${role}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={t("state")} className="max-w-72 flex-1 basis-40">
        {(ids) => (
          <Select {...ids} value={filter.status ?? "all"} onChange={(event) => onChange("status", event.target.value)}>
            <option value="all">{t("all")}</option>
            {STATUSES.map((status) => (
              <option key={status} value={status}>
                {t(`approval.status.${status}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
    </div>
  );
}

/** Requests for writes to plant systems: the user's own, and those that wait for the user's decision. */
export function ApprovalsPage() {
  const { t } = useI18n();
  const account = useAccount();
  const who = usePeople(t("byYou"));
  const [parameters, setParameters] = useSearchParams();
  const filter = filterOf(parameters);
  const inbox = useInbox(true);
  const mine = new Set(inbox.data?.data.map(({ id }) => id));
  const list = usePages<Approval>({
    key: [...APPROVALS_KEY, "list", filter],
    staleTime: 0,
    load: (cursor) => body(api.GET("/v1/approvals", { params: { query: { ...filter, cursor, limit: 50 } } })),
    refetch: () => POLL_MS,
  });
  const change = (name: keyof Filter, value: string) => {
    const next = new URLSearchParams(parameters);
    if (value) next.set(name, value);
    else next.delete(name);
    setParameters(next, { replace: true });
  };
  // An admin sees requests of others without being their approver.
  const mayDecide = (id: string) => mine.has(id) || !isAdmin(account);
  return (
    <Page title={t("approvals")}>
      <FilterForm filter={filter} onChange={change} />
      <PagedList list={list} empty={t(filter.status === "pending" ? "approval.noneWaiting" : "nothingFound")}>
        {(approvals) => (
          <ul aria-label={t("approvals")} className="flex flex-col gap-2">
            {approvals.map((approval) => (
              <Row
                key={approval.id}
                approval={approval}
                waits={mayDecide(approval.id) && waitsFor(approval, account.id)}
                who={who}
              />
            ))}
          </ul>
        )}
      </PagedList>
    </Page>
  );
}
