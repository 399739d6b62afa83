// The groups of the settings form.

import { Checkbox, Field, Input, Select, TextArea } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { CLASSES } from "@/pages/documents/uploader";
import { Choice, Group, NumberField, type Option, Rows } from "./controls";
import { PII_PATTERNS, type PiiAction, QUOTAS, ROLES, type SettingsFields, hasDuplicates } from "./fields";

export interface GroupProps {
  fields: SettingsFields;
  set: (fields: SettingsFields) => void;
}

const TIERS = ["auto", "fast", "heavy"] as const;
const PII_ACTIONS: readonly PiiAction[] = ["redact", "warn", "block"];
const MAX_INSTRUCTIONS = 4_000;
/** PostgreSQL's text search configurations, by the language tag that names them in the user's language. */
const LANGUAGES: Record<string, string> = {
  arabic: "ar", armenian: "hy", basque: "eu", catalan: "ca", danish: "da", dutch: "nl", english: "en", finnish: "fi",
  french: "fr", german: "de", greek: "el", hindi: "hi", hungarian: "hu", indonesian: "id", irish: "ga", italian: "it",
  lithuanian: "lt", nepali: "ne", norwegian: "no", portuguese: "pt", romanian: "ro", russian: "ru", serbian: "sr",
  spanish: "es", swedish: "sv", tamil: "ta", turkish: "tr", yiddish: "yi",
};

function useClassOptions(): Option[] {
  const { t } = useI18n();
  return CLASSES.map((name) => ({ value: name, label: t(`class.${name}`) }));
}

function useLanguageOptions(): Option[] {
  const { language } = useI18n();
  const names = new Intl.DisplayNames(language, { type: "language" });
  const options = Object.entries(LANGUAGES).map(([value, tag]) => ({ value, label: names.of(tag) ?? value }));
  return [...options.toSorted((one, other) => one.label.localeCompare(other.label)), { value: "simple", label: "simple" }];
}

export function GeneralGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { single } = fields;
  const classes = useClassOptions();
  const languages = useLanguageOptions();
  const change = (name: keyof typeof single) => (value: string) => set({ ...fields, single: { ...single, [name]: value } });
  const tiers = TIERS.map((tier) => ({ value: tier, label: t(`tier.${tier}`) }));
  return (
    <>
      <div className="grid gap-4 sm:grid-cols-2">
        <Choice label={t("defaultTier")} value={single.default_model} options={tiers} onChange={change("default_model")} />
        <Choice
          label={t("searchLanguage")}
          hint={t("searchLanguageHint")}
          value={single.language}
          options={languages}
          onChange={change("language")}
        />
        <Choice
          label={t("modelClassification")}
          hint={t("modelClassificationHint")}
          value={single.model_classification}
          options={classes}
          onChange={change("model_classification")}
        />
        <Choice
          label={t("cloudClassification")}
          hint={t("cloudClassificationHint")}
          value={single.cloud_classification}
          options={classes}
          onChange={change("cloud_classification")}
        />
        <NumberField
          label={t("accessTokenDays")}
          hint={t("accessTokenDaysHint")}
          min={1}
          max={3650}
          value={single.access_token_max_days}
          onChange={change("access_token_max_days")}
        />
      </div>
      <Field label={t("instructions")} hint={t("instructionsHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            rows={4}
            maxLength={MAX_INSTRUCTIONS}
            value={single.instructions}
            onChange={(event) => change("instructions")(event.target.value)}
          />
        )}
      </Field>
    </>
  );
}

export function RolesGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { clearance, roleMappings } = fields;
  const classes = useClassOptions();
  const setClearance = (change: Partial<typeof clearance>) => set({ ...fields, clearance: { ...clearance, ...change } });
  return (
    <>
      <Group title={t("clearances")}>
        <div className="grid gap-4 sm:grid-cols-2">
          <Choice
            label={t("clearanceOf", { role: t("role.viewer") })}
            value={clearance.viewer}
            options={classes.filter(({ value }) => value === "public" || value === "internal")}
            onChange={(viewer) => setClearance({ viewer })}
          />
          <Choice
            label={t("clearanceOf", { role: t("role.user") })}
            value={clearance.user}
            options={classes}
            onChange={(user) => setClearance({ user })}
          />
        </div>
      </Group>
      <Group title={t("roleMappings")} hint={t("roleMappingsHint")}>
        <Rows
          rows={roleMappings}
          blank={{ value: "", role: "viewer" as const }}
          onChange={(rows) => set({ ...fields, roleMappings: rows })}
        >
          {(row, number, change) => (
            <>
              <Input
                aria-label={t("mappedValue", { number })}
                className="min-w-0 flex-1 basis-48"
                maxLength={256}
                value={row.value}
                onChange={(event) => change({ ...row, value: event.target.value })}
              />
              <Select
                aria-label={t("mappedRole", { number })}
                className="w-auto"
                value={row.role}
                onChange={(event) => change({ ...row, role: event.target.value as typeof row.role })}
              >
                {ROLES.map((role) => (
                  <option key={role} value={role}>
                    {t(`role.${role}`)}
                  </option>
                ))}
              </Select>
            </>
          )}
        </Rows>
        {hasDuplicates(roleMappings) && <p role="alert" className="text-alarm">{t("duplicateRow")}</p>}
      </Group>
    </>
  );
}

export function PrivacyGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { pii } = fields;
  const change = (next: Partial<typeof pii>) => set({ ...fields, pii: { ...pii, ...next } });
  return (
    <Group title={t("privacy")}>
      <Checkbox label={t("privacyEnabled")} checked={pii.enabled} onChange={(event) => change({ enabled: event.target.checked })} />
      <Field label={t("privacyAction")} className="max-w-xs">
        {(ids) => (
          <Select {...ids} value={pii.action} onChange={(event) => change({ action: event.target.value as PiiAction })}>
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
            checked={pii.patterns.includes(pattern)}
            onChange={(event) => {
              const others = pii.patterns.filter((one) => one !== pattern);
              change({ patterns: event.target.checked ? [...others, pattern] : others });
            }}
          />
        ))}
      </div>
      <p className="font-medium">{t("customPatterns")}</p>
      <p className="text-sm text-quiet">{t("customPatternsHint")}</p>
      <Rows rows={pii.custom} blank={{ name: "", pattern: "" }} onChange={(custom) => change({ custom })}>
        {(row, number, changeRow) => (
          <>
            <Input
              aria-label={t("patternName", { number })}
              className="min-w-0 flex-1 basis-32"
              pattern="[a-z][a-z0-9_]*"
              maxLength={32}
              required
              value={row.name}
              onChange={(event) => changeRow({ ...row, name: event.target.value })}
            />
            <Input
              aria-label={t("patternText", { number })}
              className="min-w-0 flex-[2] basis-48 font-mono"
              maxLength={512}
              required
              value={row.pattern}
              onChange={(event) => changeRow({ ...row, pattern: event.target.value })}
            />
          </>
        )}
      </Rows>
    </Group>
  );
}

/** What only the administrators of the platform set. */
export function LimitsGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { rateLimits, quotas } = fields;
  return (
    <>
      <Group title={t("rateLimits")} hint={t("rateLimitHint")}>
        <div className="grid gap-4 sm:grid-cols-2">
          {ROLES.map((role) => {
            const tier = rateLimits[role];
            const change = (next: Partial<typeof tier>) =>
              set({ ...fields, rateLimits: { ...rateLimits, [role]: { ...tier, ...next } } });
            const name = t(`role.${role}`);
            const required = Boolean(tier.perMinute || tier.perHour);
            return (
              <div key={role} className="contents">
                <NumberField
                  label={t("perMinute", { role: name })}
                  min={1}
                  required={required}
                  value={tier.perMinute}
                  onChange={(perMinute) => change({ perMinute })}
                />
                <NumberField
                  label={t("perHour", { role: name })}
                  min={1}
                  required={required}
                  value={tier.perHour}
                  onChange={(perHour) => change({ perHour })}
                />
              </div>
            );
          })}
        </div>
      </Group>
      <Group title={t("quotas")} hint={t("quotasHint")}>
        <div className="grid gap-4 sm:grid-cols-2">
          {QUOTAS.map((name) => (
            <NumberField
              key={name}
              label={t(`quota.${name}`)}
              min={name === "soft_percent" ? 1 : 0}
              max={name === "soft_percent" ? 100 : undefined}
              decimal={name.includes("cost")}
              value={quotas[name]}
              onChange={(value) => set({ ...fields, quotas: { ...quotas, [name]: value } })}
            />
          ))}
        </div>
      </Group>
    </>
  );
}
