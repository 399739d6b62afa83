import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useSearchParams } from "react-router";
import { api, body, send } from "@/api/client";
import type { AuditEvent } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { download } from "@/lib/utils";

const FILTERS = ["event_type", "user_id", "resource_id", "correlation_id", "result_status", "from", "to"] as const;
type FilterName = (typeof FILTERS)[number];
type Filter = Partial<Record<FilterName, string>>;

function useEvents(filter: Filter) {
  return useInfiniteQuery({
    queryKey: ["audit", filter],
    staleTime: 0,
    queryFn: ({ pageParam }) => {
      const query = { ...filter, cursor: pageParam, limit: 50 } as { result_status?: "success" };
      return body(api.GET("/v1/audit", { params: { query } }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}

function isAbnormal(status: string | null | undefined) {
  return status !== null && status !== undefined && !["success", "pending"].includes(status);
}

function EventRow({ event, onFollow }: { event: AuditEvent; onFollow: (filter: Filter) => void }) {
  const { t, moment } = useI18n();
  const details = Object.entries(event).filter(
    ([name, value]) => value !== null && value !== "" && !["event_type", "created_at", "result_status"].includes(name),
  );
  return (
    <li className="rounded-md border border-line bg-raised">
      <details>
        <summary className="flex min-h-target cursor-pointer flex-wrap items-center gap-x-4 gap-y-1 px-3 py-2">
          <span className="w-44 text-sm text-quiet">{moment(event.created_at)}</span>
          <span className="font-semibold">{event.event_type}</span>
          <span className="text-sm text-quiet">{event.phase}</span>
          {event.result_status && (
            <Badge tone={isAbnormal(event.result_status) ? "warning" : "plain"}>{event.result_status}</Badge>
          )}
        </summary>
        <div className="border-t border-line p-3">
          <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1 text-sm">
            {details.map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="text-quiet">{name}</dt>
                <dd className="[overflow-wrap:anywhere]">{typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>
              </div>
            ))}
          </dl>
          <Button className="mt-3" onClick={() => onFollow({ correlation_id: event.correlation_id })}>
            {t("sameOperation")}
          </Button>
        </div>
      </details>
    </li>
  );
}

function FilterForm({ filter, onFilter }: { filter: Filter; onFilter: (filter: Filter) => void }) {
  const { t } = useI18n();
  const [fields, setFields] = useState<Filter>(filter);
  const set = (name: FilterName) => (event: { target: { value: string } }) => setFields({ ...fields, [name]: event.target.value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onFilter(fields);
  };
  return (
    <form onSubmit={submit} className="flex flex-wrap items-end gap-3">
      <Field label={t("eventType")} className="flex-1 basis-44">
        {(ids) => <Input {...ids} value={fields.event_type ?? ""} placeholder="policy.denied" onChange={set("event_type")} />}
      </Field>
      <Field label={t("userId")} className="flex-1 basis-44">
        {(ids) => <Input {...ids} value={fields.user_id ?? ""} onChange={set("user_id")} />}
      </Field>
      <Field label={t("resourceId")} className="flex-1 basis-44">
        {(ids) => <Input {...ids} value={fields.resource_id ?? ""} onChange={set("resource_id")} />}
      </Field>
      <Field label={t("outcome")} className="basis-36">
        {(ids) => (
          <Select {...ids} value={fields.result_status ?? ""} onChange={set("result_status")}>
            <option value="">{t("all")}</option>
            {["success", "denied", "error", "cancelled", "unknown"].map((status) => (
              <option key={status}>{status}</option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={t("from")} className="basis-40">
        {(ids) => <Input {...ids} type="date" value={fields.from ?? ""} onChange={set("from")} />}
      </Field>
      <Field label={t("to")} className="basis-40">
        {(ids) => <Input {...ids} type="date" value={fields.to ?? ""} onChange={set("to")} />}
      </Field>
      <Button type="submit" variant="primary">
        {t("filter")}
      </Button>
      <Button onClick={() => onFilter({})}>{t("reset")}</Button>
    </form>
  );
}

export function AuditPage() {
  const { t } = useI18n();
  const [parameters, setParameters] = useSearchParams();
  const filter: Filter = {};
  for (const name of FILTERS) {
    const value = parameters.get(name);
    if (value) filter[name] = value;
  }
  const list = useEvents(filter);
  const exported = useMutation({
    mutationFn: async () => download(await (await send("/v1/audit/export")).blob(), "audit.ndjson"),
  });
  const apply = (next: Filter) => {
    const entries = Object.entries(next).filter(([, value]) => value);
    setParameters(new URLSearchParams(entries as [string, string][]));
  };
  const events = list.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section aria-label={t("audit")} className="flex flex-col gap-3">
      <FilterForm key={parameters.toString()} filter={filter} onFilter={apply} />
      <div className="flex flex-wrap items-center gap-3">
        <Button disabled={exported.isPending} onClick={() => exported.mutate()}>
          <Download aria-hidden /> {t("exportLog")}
        </Button>
        <span className="text-sm text-quiet">{t("exportLogHint")}</span>
        {exported.isError && <Notice>{exported.error.message}</Notice>}
      </div>
      {list.isPending && <Spinner label={t("loading")} />}
      {list.isError && <LoadError error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && events.length === 0 && <Empty>{t("nothingFound")}</Empty>}
      <ol className="flex flex-col gap-1">
        {events.map((event) => (
          <EventRow key={event.id} event={event} onFollow={apply} />
        ))}
      </ol>
      {list.hasNextPage && (
        <Button disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {t("more")}
        </Button>
      )}
    </section>
  );
}
