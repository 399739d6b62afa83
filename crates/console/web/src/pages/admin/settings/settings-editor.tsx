// The form of a plant's settings with its history: for the plant's administrators, and for those of the platform.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError } from "@/api/client";
import { hasFeature } from "@/api/features";
import type { components } from "@/api/schema";
import { Button } from "@/components/ui/button";
import { LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { type JsonObject, mergePatch } from "@/lib/merge-patch";
import { useFormDraft } from "@/lib/use-form-draft";
import { GoalsGroup, TeamsGroup } from "./cooperation";
import { fieldsOf, hasDuplicates, settingsOf, toChange } from "./fields";
import { GeneralGroup, LimitsGroup, PrivacyGroup, RolesGroup } from "./groups";
import { type VersionSource, SettingsHistory } from "./settings-history";

type Settings = components["schemas"]["TenantSettings"];

/** Where settings are read and written. */
export interface SettingsSource {
  key: readonly unknown[];
  load: () => Promise<Settings>;
  /** Sends a merge patch for the version that it was made from. */
  save: (patch: JsonObject, etag: string) => Promise<unknown>;
  versions: VersionSource;
  /** Whether limits and quotas can be set, too. */
  hasLimits: boolean;
}

function SaveError({ error, onReload }: { error: Error; onReload: () => void }) {
  const { t } = useI18n();
  const isStale = error instanceof ApiError && error.code === "stale_version";
  if (!isStale) return <Notice>{error.message || t("notSaved")}</Notice>;
  return <Notice action={<Button onClick={onReload}>{t("loadAgain")}</Button>}>{t("staleSettings")}</Notice>;
}

interface FormProps {
  settings: Settings;
  source: SettingsSource;
  onSaved: () => void;
  /** Starts with the fields of the newest version. */
  onReset: () => void;
}

function SettingsForm({ settings: { settings: view, version, tenant_id }, source, onSaved, onReset }: FormProps) {
  const { t } = useI18n();
  const { fields, set, discard } = useFormDraft(`settings.${tenant_id}.${version}`, fieldsOf(view));
  const patch = toChange(mergePatch(settingsOf(fieldsOf(view)), settingsOf(fields)));
  const count = Object.keys(patch).length;
  const save = useMutation({
    mutationFn: () => source.save(patch, `"${version}"`),
    onSuccess: () => {
      discard();
      onSaved();
    },
  });
  const reset = () => {
    discard();
    onReset();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4 rounded-lg border border-line bg-raised p-4">
      <GeneralGroup fields={fields} set={set} />
      <RolesGroup fields={fields} set={set} />
      <PrivacyGroup fields={fields} set={set} />
      {hasFeature("goals") && <GoalsGroup fields={fields} set={set} />}
      {hasFeature("teams") && <TeamsGroup fields={fields} set={set} />}
      {source.hasLimits && <LimitsGroup fields={fields} set={set} />}
      {save.isError && <SaveError error={save.error} onReload={reset} />}
      <div className="flex flex-wrap items-center gap-4 border-t border-line pt-3">
        <Button type="submit" variant="primary" disabled={save.isPending || count === 0 || hasDuplicates(fields.roleMappings)}>
          {t("save")}
        </Button>
        {count > 0 && <Button onClick={reset}>{t("discardChanges")}</Button>}
        <span className="text-sm text-quiet">
          {count > 0 ? t("unsavedChanges", { count }) : t("nothingChanged")} {t("version", { version })}
        </span>
      </div>
    </form>
  );
}

export function SettingsEditor({ source }: { source: SettingsSource }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const settings = useQuery({ queryKey: source.key, queryFn: source.load });
  const [resets, setResets] = useState(0);
  const [isSaved, setSaved] = useState(false);
  const reload = () => queries.invalidateQueries({ queryKey: source.key });
  if (settings.isPending) return <Spinner label={t("loading")} />;
  if (settings.isError) return <LoadError error={settings.error} retry={() => void settings.refetch()} />;
  return (
    <div className="flex flex-col gap-5">
      <div role="status">{isSaved && <Notice tone="plain">{t("saved")}</Notice>}</div>
      <SettingsForm
        key={`${settings.data.version}.${resets}`}
        settings={settings.data}
        source={source}
        onSaved={() => {
          setSaved(true);
          void reload();
        }}
        onReset={() => {
          setSaved(false);
          void reload().then(() => setResets((count) => count + 1));
        }}
      />
      <SettingsHistory source={source.versions} />
    </div>
  );
}
