// The maintenance system that approved work orders are written to. Its secret is in this page's state alone.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import {
  MAINTENANCE_KINDS,
  type MaintenanceConfig,
  type MaintenanceKind,
  type MaintenanceSystem,
  maintenanceSystem,
} from "@/api/plant";
import { Button } from "@/components/ui/button";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Field, Input, Select } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";

const KEY = ["maintenance-system"];

/** The settings that each kind has besides its address. */
const OPTIONS: Record<MaintenanceKind, readonly Exclude<keyof MaintenanceConfig, "base_url" | "auth">[]> = {
  builtin: [],
  rest: [],
  maximo: ["site", "object_structure", "reference_field"],
  sap_pm: ["notification_type", "reference_field"],
};

/** The settings that belong to a kind, without empty ones. */
export function configOf(kind: MaintenanceKind, config: MaintenanceConfig): MaintenanceConfig {
  if (kind === "builtin") return {};
  const names = ["base_url", "auth", ...OPTIONS[kind]] as const;
  const entries = names.map((name) => [name, config[name]?.trim()]).filter(([, value]) => value);
  return Object.fromEntries(entries) as MaintenanceConfig;
}

interface ConfigFieldsProps {
  kind: MaintenanceKind;
  config: MaintenanceConfig;
  onChange: (config: MaintenanceConfig) => void;
}

function ConfigFields({ kind, config, onChange }: ConfigFieldsProps) {
  const { t } = useI18n();
  return (
    <>
      <Field label={t("maintenance.baseUrl")} hint={t("maintenance.baseUrlHint")}>
        {(ids) => (
          <Input
            {...ids}
            required
            type="url"
            maxLength={2_000}
            value={config.base_url ?? ""}
            onChange={(event) => onChange({ ...config, base_url: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("maintenance.auth")}>
        {(ids) => (
          <Select
            {...ids}
            value={config.auth ?? ""}
            onChange={(event) => onChange({ ...config, auth: (event.target.value || undefined) as MaintenanceConfig["auth"] })}
          >
            <option value="">{t("maintenance.authDefault")}</option>
            <option value="bearer">{t("maintenance.authBearer")}</option>
            <option value="basic">{t("maintenance.authBasic")}</option>
          </Select>
        )}
      </Field>
      {OPTIONS[kind].map((name) => (
        <Field key={name} label={t(`maintenance.${name}`)} hint={t("maintenance.optional")}>
          {(ids) => (
            <Input
              {...ids}
              maxLength={200}
              value={config[name] ?? ""}
              onChange={(event) => onChange({ ...config, [name]: event.target.value })}
            />
          )}
        </Field>
      ))}
    </>
  );
}

function SystemForm({ system }: { system: MaintenanceSystem }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [kind, setKind] = useState(system.kind);
  const [config, setConfig] = useState<MaintenanceConfig>(system.config);
  const [secret, setSecret] = useState("");
  const [isSending, setSending] = useState(false);
  const [outcome, setOutcome] = useState<{ error?: string }>();
  const save = async () => {
    setSending(true);
    setOutcome(undefined);
    try {
      // Not a mutation of TanStack Query, which would keep the secret in its cache.
      const saved = await maintenanceSystem.put({ kind, config: configOf(kind, config), secret: secret || undefined });
      setSecret("");
      setOutcome({});
      queries.setQueryData(KEY, saved);
    } catch (cause) {
      setOutcome({ error: cause instanceof Error && cause.message ? cause.message : t("notSaved") });
    }
    setSending(false);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void save();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <Field label={t("maintenance.kind")} hint={t(`maintenance.hint.${kind}` as MessageKey)}>
        {(ids) => (
          <Select {...ids} value={kind} onChange={(event) => setKind(event.target.value as MaintenanceKind)}>
            {MAINTENANCE_KINDS.map((one) => (
              <option key={one} value={one}>
                {t(`maintenance.kind.${one}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {kind !== "builtin" && (
        <>
          <ConfigFields kind={kind} config={config} onChange={setConfig} />
          <Field label={t("secret")} hint={[system.has_secret ? `${t("secretSet")}.` : "", t("secretHint")].join(" ")}>
            {(ids) => (
              <Input
                {...ids}
                type="password"
                autoComplete="off"
                maxLength={4_096}
                value={secret}
                onChange={(event) => setSecret(event.target.value)}
              />
            )}
          </Field>
        </>
      )}
      {outcome?.error && <Notice>{outcome.error}</Notice>}
      {outcome && !outcome.error && <p role="status">{t("saved")}</p>}
      <Button type="submit" variant="primary" className="self-start" disabled={isSending}>
        {t("save")}
      </Button>
    </form>
  );
}

export function MaintenancePage() {
  const { t } = useI18n();
  const system = useQuery({ queryKey: KEY, queryFn: maintenanceSystem.get });
  if (system.isPending) return <Spinner label={t("loading")} />;
  if (system.isError) return <LoadError error={system.error} retry={() => void system.refetch()} />;
  return (
    <section aria-label={t("maintenance")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("maintenance.hint")}</p>
      <SystemForm system={system.data} />
    </section>
  );
}
