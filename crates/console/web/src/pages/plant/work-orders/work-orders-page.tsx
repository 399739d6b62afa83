import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useAccount } from "@/account";
import { workOrders } from "@/api/plant";
import type { WorkOrder } from "@/api/types";
import { PagedList, usePages } from "@/components/pages";
import { Button, buttonVariants } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Empty, Notice } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn, download } from "@/lib/utils";
import { usePeople } from "@/pages/approvals/queries";
import { type Filter, STATUSES, mayClose, withWords } from "./work-orders";

const KEY = ["work-orders"];
const PAGE_SIZE = 200;

function CloseDialog({ order, onClose }: { order: WorkOrder; onClose: () => void }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const close = useMutation({
    mutationFn: () => workOrders.close(order.id),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: KEY });
      onClose();
    },
  });
  return (
    <Dialog open onClose={onClose} title={t("workOrder.confirmClosing")} description={t("workOrder.confirmClosingHint")}>
      <p className="font-semibold [overflow-wrap:anywhere]">
        {visibleText(order.target)}: {visibleText(order.title)}
      </p>
      {close.isError && <Notice>{close.error.message}</Notice>}
      <div className="mt-4 flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button variant="primary" disabled={close.isPending} onClick={() => close.mutate()}>
          {t("workOrder.close")}
        </Button>
      </div>
    </Dialog>
  );
}

interface RowProps {
  order: WorkOrder;
  who: (id: string) => string;
  /** Missing where the user may not close it. */
  onClose?: () => void;
}

function Row({ order, who, onClose }: RowProps) {
  const { t, moment } = useI18n();
  const { target, title, description, priority, due, status, requested_by, created_at, external_reference } = order;
  return (
    <li className="rounded-lg border border-line bg-raised">
      <details>
        <summary className="flex min-h-target cursor-pointer flex-wrap items-center gap-x-4 gap-y-1 px-3 py-2">
          <span className="min-w-0 flex-1 basis-52 [overflow-wrap:anywhere]">
            <span className="font-semibold">{visibleText(target)}</span> {visibleText(title)}
          </span>
          <span className="text-sm text-quiet">{t("workOrder.priority", { priority })}</span>
          {due && <span className="text-sm text-quiet">{t("workOrder.due", { due: visibleText(due) })}</span>}
          <Badge>{t(`workOrder.status.${status}`)}</Badge>
        </summary>
        <div className="flex flex-col gap-3 border-t border-line p-3">
          <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">{visibleText(description)}</p>
          <p className="text-sm text-quiet [overflow-wrap:anywhere]">
            {t("approval.requestedBy", { name: who(requested_by), at: moment(created_at) })} · {order.id}
          </p>
          <div className="flex flex-wrap gap-2">
            <Link to={`/approvals/${external_reference}`} className={cn(buttonVariants())}>
              {t("workOrder.request")}
            </Link>
            {onClose && <Button onClick={onClose}>{t("workOrder.close")}</Button>}
          </div>
        </div>
      </details>
    </li>
  );
}

function FilterForm({ filter, onChange }: { filter: Filter; onChange: (filter: Filter) => void }) {
  const { t } = useI18n();
  return (
    <>
      <Field label={t("state")} className="max-w-60 flex-1 basis-32">
        {(ids) => (
          <Select
            {...ids}
            value={filter.status}
            onChange={(event) => onChange({ ...filter, status: event.target.value as Filter["status"] })}
          >
            <option value="">{t("all")}</option>
            {STATUSES.map((status) => (
              <option key={status} value={status}>
                {t(`workOrder.status.${status}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={t("workOrder.words")} className="flex-[2] basis-44">
        {(ids) => (
          <Input
            {...ids}
            type="search"
            maxLength={200}
            value={filter.words}
            onChange={(event) => onChange({ ...filter, words: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}

/** Work orders of the platform's own list. Other maintenance systems show theirs themselves. */
export function WorkOrdersPage() {
  const { t } = useI18n();
  const account = useAccount();
  const who = usePeople(t("byYou"));
  const [parameters, setParameters] = useSearchParams();
  const [closing, setClosing] = useState<WorkOrder>();
  const filter: Filter = {
    status: STATUSES.find((status) => status === parameters.get("status")) ?? "",
    words: parameters.get("q") ?? "",
  };
  const list = usePages<WorkOrder>({
    key: [...KEY, filter.status],
    staleTime: 0,
    load: (cursor) => workOrders.list(filter.status, PAGE_SIZE, cursor),
  });
  const save = useMutation({
    mutationFn: async () => download(await workOrders.export(filter.status), "work-orders.csv"),
  });
  const change = ({ status, words }: Filter) => {
    const entries = Object.entries({ status, q: words }).filter(([, value]) => value);
    setParameters(new URLSearchParams(entries), { replace: true });
  };
  const shown = withWords(list.items, filter.words);
  return (
    <section aria-label={t("workOrders")} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-end gap-3">
        <FilterForm filter={filter} onChange={change} />
        <Button disabled={save.isPending} onClick={() => save.mutate()}>
          <Download aria-hidden /> {t("workOrder.export")}
        </Button>
      </div>
      {save.isError && <Notice>{save.error.message}</Notice>}
      <PagedList list={list} empty={t(filter.status ? "nothingFound" : "workOrder.none")}>
        {() =>
          shown.length === 0 ? (
            <Empty>{t("nothingFound")}</Empty>
          ) : (
            <ul aria-label={t("workOrders")} className="flex flex-col gap-2">
              {shown.map((order) => (
                <Row
                  key={order.id}
                  order={order}
                  who={who}
                  onClose={mayClose(order, account) ? () => setClosing(order) : undefined}
                />
              ))}
            </ul>
          )
        }
      </PagedList>
      {closing && <CloseDialog order={closing} onClose={() => setClosing(undefined)} />}
    </section>
  );
}
