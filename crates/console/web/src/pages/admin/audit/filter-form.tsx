import { type FormEvent, useState } from "react";
import { Button } from "@/components/ui/button";
import { Field, Input, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { type Filter, type FilterName, RESULTS } from "./filter";

/** Filters by ids, which are mostly followed from a row. */
const ID_FIELDS: readonly { name: FilterName; label: MessageKey }[] = [
  { name: "resource_id", label: "resourceId" },
  { name: "correlation_id", label: "correlationId" },
  { name: "conversation_id", label: "conversationId" },
  { name: "session_id", label: "sessionId" },
  { name: "request_id", label: "requestId" },
];

export function FilterForm({ filter, onFilter }: { filter: Filter; onFilter: (filter: Filter) => void }) {
  const { t } = useI18n();
  const [fields, setFields] = useState<Filter>(filter);
  const set = (name: FilterName) => (event: { target: { value: string } }) => setFields({ ...fields, [name]: event.target.value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onFilter(fields);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-end gap-3">
        <Field label={t("eventType")} className="flex-1 basis-44">
          {(ids) => <Input {...ids} value={fields.event_type ?? ""} placeholder="policy.denied" onChange={set("event_type")} />}
        </Field>
        <Field label={t("userId")} className="flex-1 basis-44">
          {(ids) => <Input {...ids} value={fields.user_id ?? ""} onChange={set("user_id")} />}
        </Field>
        <Field label={t("outcome")} className="basis-36">
          {(ids) => (
            <Select {...ids} value={fields.result_status ?? ""} onChange={set("result_status")}>
              <option value="">{t("all")}</option>
              {RESULTS.map((status) => (
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
      </div>
      <details open={ID_FIELDS.some(({ name }) => filter[name])}>
        <summary className="flex min-h-target cursor-pointer items-center">{t("moreFilters")}</summary>
        <div className="flex flex-wrap items-end gap-3">
          {ID_FIELDS.map(({ name, label }) => (
            <Field key={name} label={t(label)} className="flex-1 basis-60">
              {(ids) => <Input {...ids} value={fields[name] ?? ""} onChange={set(name)} />}
            </Field>
          ))}
        </div>
      </details>
    </form>
  );
}
