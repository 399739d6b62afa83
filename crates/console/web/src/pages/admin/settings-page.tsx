import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, body } from "@/api/client";
import type { components } from "@/api/schema";
import { Button } from "@/components/ui/button";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Input, Select, TextArea } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";

type Change = components["schemas"]["OwnSettingsChange"];
type View = components["schemas"]["SettingsView"];

const CLASSES = ["public", "internal", "confidential", "restricted"] as const;
const TIERS = ["auto", "fast", "heavy"] as const;
const PII_ACTIONS = ["redact", "warn", "block"] as const;
const PII_PATTERNS = ["employee_id", "email", "phone", "ip_address", "equipment_serial"] as const;

interface PiiView {
  enabled?: boolean;
  action?: (typeof PII_ACTIONS)[number];
  patterns?: (typeof PII_PATTERNS)[number][];
}

interface Choice {
  label: string;
  hint?: string;
  value: string | null | undefined;
  options: readonly { value: string; label: string }[];
  onChange: (value: string | null) => void;
}

function ChoiceField({ label, hint, value, options, onChange }: Choice) {
  const { t } = useI18n();
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <Select {...ids} value={value ?? ""} onChange={(event) => onChange(event.target.value || null)}>
          <option value="">{t("platformDefault")}</option>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

function useDraft(view: View) {
  const pii = (view.pii_sanitization ?? {}) as PiiView;
  return useState<Change>({
    default_model: view.default_model,
    model_classification: view.model_classification,
    cloud_classification: view.cloud_classification,
    access_token_max_days: view.access_token_max_days,
    instructions: view.instructions,
    pii_sanitization: { enabled: pii.enabled ?? false, action: pii.action ?? "redact", patterns: pii.patterns ?? [] },
  });
}

function SettingsForm({ view, version }: { view: View; version: number }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [draft, setDraft] = useDraft(view);
  const save = useMutation({
    mutationFn: () => api.PATCH("/v1/admin/settings", { body: draft }),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ["settings"] }),
  });
  const set = (change: Partial<Change>) => setDraft({ ...draft, ...change });
  const pii = (draft.pii_sanitization ?? {}) as PiiView;
  const setPii = (change: PiiView) => set({ pii_sanitization: { ...pii, ...change } });
  const classes = CLASSES.map((name) => ({ value: name, label: t(`class.${name}`) }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4 rounded-lg border border-line bg-raised p-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <ChoiceField
          label={t("defaultTier")}
          value={draft.default_model}
          options={TIERS.map((tier) => ({ value: tier, label: t(`tier.${tier}`) }))}
          onChange={(value) => set({ default_model: value as Change["default_model"] })}
        />
        <ChoiceField
          label={t("modelClassification")}
          hint={t("modelClassificationHint")}
          value={draft.model_classification}
          options={classes}
          onChange={(value) => set({ model_classification: value as Change["model_classification"] })}
        />
        <ChoiceField
          label={t("cloudClassification")}
          hint={t("cloudClassificationHint")}
          value={draft.cloud_classification}
          options={classes}
          onChange={(value) => set({ cloud_classification: value as Change["cloud_classification"] })}
        />
        <Field label={t("accessTokenDays")} hint={t("accessTokenDaysHint")}>
          {(ids) => (
            <Input
              {...ids}
              inputMode="numeric"
              value={draft.access_token_max_days ?? ""}
              onChange={(event) => set({ access_token_max_days: Number(event.target.value) || null })}
            />
          )}
        </Field>
      </div>
      <Field label={t("instructions")} hint={t("instructionsHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            rows={4}
            maxLength={4000}
            value={draft.instructions ?? ""}
            onChange={(event) => set({ instructions: event.target.value.trim() ? event.target.value : null })}
          />
        )}
      </Field>
      <fieldset className="flex flex-col gap-1 border-t border-line pt-3">
        <legend className="pr-2 font-semibold">{t("privacy")}</legend>
        <Checkbox label={t("privacyEnabled")} checked={pii.enabled} onChange={(event) => setPii({ enabled: event.target.checked })} />
        <Field label={t("privacyAction")} className="max-w-xs">
          {(ids) => (
            <Select {...ids} value={pii.action} onChange={(event) => setPii({ action: event.target.value as PiiView["action"] })}>
              {PII_ACTIONS.map((action) => (
                <option key={action} value={action}>
                  {t(`privacy.${action}`)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <div className="flex flex-wrap gap-x-4">
          {PII_PATTERNS.map((pattern) => (
            <Checkbox
              key={pattern}
              label={t(`pattern.${pattern}` as MessageKey)}
              checked={pii.patterns?.includes(pattern) ?? false}
              onChange={(event) => {
                const others = (pii.patterns ?? []).filter((one) => one !== pattern);
                setPii({ patterns: event.target.checked ? [...others, pattern] : others });
              }}
            />
          ))}
        </div>
      </fieldset>
      {save.isError && <Notice>{save.error.message}</Notice>}
      {save.isSuccess && <Notice tone="plain">{t("saved")}</Notice>}
      <div className="flex items-center gap-4">
        <Button type="submit" variant="primary" disabled={save.isPending}>
          {t("save")}
        </Button>
        <span className="text-sm text-quiet">{t("version", { version })}</span>
      </div>
    </form>
  );
}

function difference(now: View, before: View | undefined): string[] {
  const names = Object.keys(now) as (keyof View)[];
  return names.filter((name) => JSON.stringify(now[name]) !== JSON.stringify(before?.[name]));
}

function History() {
  const { t, moment } = useI18n();
  const versions = useQuery({
    queryKey: ["settings", "versions"],
    queryFn: () => body(api.GET("/v1/admin/settings/versions", { params: { query: { limit: 20 } } })),
  });
  if (!versions.data) return null;
  const { data } = versions.data;
  return (
    <section aria-labelledby="history" className="flex flex-col gap-2">
      <h2 id="history">{t("history")}</h2>
      <ol className="flex flex-col gap-1">
        {data.map(({ version, changed_at, settings }, index) => (
          <li key={version} className="flex flex-wrap gap-x-4 rounded-md border border-line bg-raised px-3 py-2">
            <span className="font-semibold">{t("version", { version })}</span>
            <span>{moment(changed_at)}</span>
            {data[index + 1] && <span className="text-quiet">{difference(settings, data[index + 1]?.settings).join(", ")}</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}

export function SettingsPage() {
  const { t } = useI18n();
  const settings = useQuery({ queryKey: ["settings"], queryFn: () => body(api.GET("/v1/admin/settings")) });
  if (settings.isPending) return <Spinner label={t("loading")} />;
  if (settings.isError) return <LoadError error={settings.error} retry={() => void settings.refetch()} />;
  const { settings: view, version } = settings.data;
  return (
    <div className="flex flex-col gap-5">
      <SettingsForm key={version} view={view} version={version} />
      <History />
    </div>
  );
}
