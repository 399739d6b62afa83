import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import { channels } from "@/api/plant";
import type { ApprovalPolicy } from "@/api/types";
import { Choices } from "@/components/choices";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Input, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { useUserNames } from "../user-names";
import { type PolicyFields, fieldsOf, gapOf, policyOf } from "./terms";

function useChannelNames(): ReadonlyMap<string, string> {
  const list = useQuery({ queryKey: ["channels", "names"], enabled: hasFeature("channels"), queryFn: () => channels.list() });
  return new Map(list.data?.data.map(({ id, name }) => [id, name]));
}

interface PartProps {
  fields: PolicyFields;
  onChange: (fields: PolicyFields) => void;
}

function Approvers({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  const people = useUserNames(true);
  return (
    <>
      <Checkbox
        label={t("policy.grant")}
        checked={fields.hasGrant}
        onChange={(event) => onChange({ ...fields, hasGrant: event.target.checked })}
      />
      <Choices
        name={t("policy.users")}
        hint={t("policy.usersHint")}
        find={t("findPerson")}
        items={people}
        chosen={fields.users}
        onChange={(users) => onChange({ ...fields, users })}
      />
      <Field label={t("policy.quorum")} hint={t("policy.quorumHint")} className="max-w-sm">
        {(ids) => (
          <Input
            {...ids}
            required
            type="number"
            min={1}
            max={20}
            value={fields.quorum}
            onChange={(event) => onChange({ ...fields, quorum: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("policy.maxAuthAge")} hint={t("policy.maxAuthAgeHint")} className="max-w-sm">
        {(ids) => (
          <Input
            {...ids}
            required
            type="number"
            min={0.1}
            max={1_440}
            step="any"
            value={fields.maxAuthAge}
            onChange={(event) => onChange({ ...fields, maxAuthAge: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}

function Expiry({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  const people = useUserNames(true);
  return (
    <>
      <Field label={t("policy.expiresAfter")} className="max-w-sm">
        {(ids) => (
          <Input
            {...ids}
            required
            type="number"
            min={0.01}
            max={2_160}
            step="any"
            value={fields.expiresAfter}
            onChange={(event) => onChange({ ...fields, expiresAfter: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("policy.onExpiry")} className="max-w-sm">
        {(ids) => (
          <Select
            {...ids}
            value={fields.onExpiry}
            onChange={(event) => onChange({ ...fields, onExpiry: event.target.value as PolicyFields["onExpiry"] })}
          >
            <option value="reject">{t("policy.onExpiry.reject")}</option>
            <option value="escalate">{t("policy.onExpiry.escalate")}</option>
          </Select>
        )}
      </Field>
      {fields.onExpiry === "escalate" && (
        <Choices
          name={t("policy.escalateTo")}
          find={t("findPerson")}
        items={people}
          chosen={fields.escalateTo}
          onChange={(escalateTo) => onChange({ ...fields, escalateTo })}
        />
      )}
    </>
  );
}

function PolicyForm({ policy }: { policy: ApprovalPolicy }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const { fields, set, discard } = useFormDraft(`policy.${policy.tool}.${policy.version}`, fieldsOf(policy));
  const channelNames = useChannelNames();
  const [isAsking, setAsking] = useState(false);
  const gap = gapOf(fields);
  const save = useMutation({
    mutationFn: () => {
      const params = { path: { tool: policy.tool } };
      return body(api.PUT("/v1/admin/approval-policies/{tool}", { params, body: policyOf(fields) }));
    },
    onSuccess: (saved) => {
      discard();
      queries.setQueryData(["policy", policy.tool], saved);
    },
    onSettled: () => setAsking(false),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsking(true);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4 rounded-lg border border-line bg-raised p-4">
      <Approvers fields={fields} onChange={set} />
      <Expiry fields={fields} onChange={set} />
      {(channelNames.size > 0 || fields.channels.length > 0) && (
        <Choices
          name={t("policy.channels")}
          hint={t("policy.channelsHint")}
          find={t("policy.findChannel")}
          items={channelNames}
          chosen={fields.channels}
          onChange={(chosen) => set({ ...fields, channels: chosen })}
        />
      )}
      {gap && <Notice tone="warning">{t(gap)}</Notice>}
      {save.isError && <Notice>{save.error.message}</Notice>}
      <Button type="submit" variant="primary" className="self-start" disabled={gap !== undefined || save.isPending}>
        {t("save")}
      </Button>
      <Dialog open={isAsking} onClose={() => setAsking(false)} title={t("policy.confirm")} description={t("policy.confirmHint")}>
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={() => setAsking(false)}>{t("cancel")}</Button>
          <Button variant="primary" disabled={save.isPending} onClick={() => save.mutate()}>
            {t("save")}
          </Button>
        </div>
      </Dialog>
    </form>
  );
}

function PolicyOfTool({ tool }: { tool: string }) {
  const { t, moment } = useI18n();
  const policy = useQuery({
    queryKey: ["policy", tool],
    queryFn: () => body(api.GET("/v1/admin/approval-policies/{tool}", { params: { path: { tool } } })),
    staleTime: 0,
  });
  return (
    <section aria-label={tool} className="flex flex-col gap-3">
      <h2 className="font-mono [overflow-wrap:anywhere]">{tool}</h2>
      {policy.isPending && <Spinner label={t("loading")} />}
      {policy.isError && <LoadError error={policy.error} retry={() => void policy.refetch()} />}
      {policy.data && (
        <>
          <p className="text-sm text-quiet">
            {policy.data.updated_at
              ? t("policy.version", { version: policy.data.version, at: moment(policy.data.updated_at) })
              : t("policy.default")}
          </p>
          <PolicyForm key={policy.data.version} policy={policy.data} />
        </>
      )}
    </section>
  );
}

/** Who approves the writes of each tool, and how. */
export function PoliciesPage() {
  const { t } = useI18n();
  const tools = useQuery({ queryKey: ["tools"], queryFn: () => body(api.GET("/v1/tools")) });
  const writing = tools.data?.data.filter(({ requires_approval }) => requires_approval) ?? [];
  return (
    <section aria-label={t("approvalPolicies")} className="flex flex-col gap-4">
      <p className="text-quiet">{t("policy.hint")}</p>
      {tools.isPending && <Spinner label={t("loading")} />}
      {tools.isError && <LoadError error={tools.error} retry={() => void tools.refetch()} />}
      {tools.isSuccess && writing.length === 0 && <Empty>{t("policy.noTools")}</Empty>}
      {writing.map(({ name }) => (
        <PolicyOfTool key={name} tool={name} />
      ))}
    </section>
  );
}
