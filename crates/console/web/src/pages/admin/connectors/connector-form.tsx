// Creates or changes a connector. Its secret is in this form's state alone, and gone when the form closes.

import { type FormEvent, useState } from "react";
import { CONNECTOR_KINDS, type Connector, type ConnectorKind, connectors } from "@/api/plant";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Checkbox, Field, Input, Select, TextArea } from "@/components/ui/field";
import { type MessageKey, useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { CLASSES } from "@/pages/documents/uploader";
import { EMPTY, type FormFields, changesOf, connectorOf, fieldsOf, parseConfig, secretOf } from "./fields";
import { parseTags } from "./tags";

interface PartProps {
  fields: FormFields;
  onChange: (fields: FormFields) => void;
}

function Place({ fields, onChange, isNew }: PartProps & { isNew: boolean }) {
  const { t } = useI18n();
  return (
    <>
      <Field label={t("name")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={128}
            value={fields.name}
            onChange={(event) => onChange({ ...fields, name: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("connector.kind")}>
        {(ids) => (
          <Select
            {...ids}
            disabled={!isNew}
            value={fields.kind}
            onChange={(event) => onChange({ ...fields, kind: event.target.value as ConnectorKind })}
          >
            {CONNECTOR_KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {t(`connector.kind.${kind}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {fields.kind !== "simulator" && (
        <Field label={t("connector.endpoint")} hint={t("connector.endpointHint")}>
          {(ids) => (
            <Input
              {...ids}
              required
              maxLength={2_000}
              value={fields.endpoint}
              onChange={(event) => onChange({ ...fields, endpoint: event.target.value })}
            />
          )}
        </Field>
      )}
      <Field label={t("classification")} hint={t("connector.classificationHint")}>
        {(ids) => (
          <Select
            {...ids}
            value={fields.classification}
            onChange={(event) => onChange({ ...fields, classification: event.target.value })}
          >
            {CLASSES.map((name) => (
              <option key={name} value={name}>
                {t(`class.${name}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={t("connector.staleAfter")}>
        {(ids) => (
          <Input
            {...ids}
            required
            type="number"
            min={1}
            value={fields.staleAfter}
            onChange={(event) => onChange({ ...fields, staleAfter: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}

function Recording({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <Checkbox
        label={t("connector.record")}
        checked={fields.isRecorded}
        onChange={(event) => onChange({ ...fields, isRecorded: event.target.checked })}
      />
      {fields.isRecorded && (
        <div className="flex flex-wrap gap-3">
          <Field label={t("connector.interval")} className="flex-1 basis-32">
            {(ids) => (
              <Input
                {...ids}
                required
                type="number"
                min={1}
                value={fields.interval}
                onChange={(event) => onChange({ ...fields, interval: event.target.value })}
              />
            )}
          </Field>
          <Field label={t("connector.keepDays")} className="flex-1 basis-32">
            {(ids) => (
              <Input
                {...ids}
                required
                type="number"
                min={1}
                value={fields.keepDays}
                onChange={(event) => onChange({ ...fields, keepDays: event.target.value })}
              />
            )}
          </Field>
        </div>
      )}
    </fieldset>
  );
}

/** Settings of the kind as JSON, and the tags as lines: both are copied from elsewhere rather than typed. */
function Texts({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  const { errors } = parseTags(fields.tags);
  return (
    <>
      <Field label={t("connector.config")} hint={t("connector.configHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            spellCheck={false}
            className="font-mono text-sm"
            value={fields.config}
            onChange={(event) => onChange({ ...fields, config: event.target.value })}
          />
        )}
      </Field>
      {parseConfig(fields.config) === undefined && <Notice tone="warning">{t("connector.configError")}</Notice>}
      <Field label={t("connector.tags")} hint={t("connector.tagsHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            spellCheck={false}
            rows={6}
            className="font-mono text-sm"
            value={fields.tags}
            onChange={(event) => onChange({ ...fields, tags: event.target.value })}
          />
        )}
      </Field>
      {errors.length > 0 && (
        <Notice tone="warning">
          <ul>
            {errors.map(({ line, reason }) => (
              <li key={line}>
                {t("connector.line", { line })} {t(`connector.lineError.${reason}` as MessageKey)}
              </li>
            ))}
          </ul>
        </Notice>
      )}
    </>
  );
}

interface ConnectorFormProps {
  /** The connector to change; a new one unless given. */
  connector?: Connector;
  onSaved: () => void;
}

export function ConnectorForm({ connector, onSaved }: ConnectorFormProps) {
  const { t } = useI18n();
  const { fields, set, discard } = useFormDraft(`connector.${connector?.id ?? "new"}`, connector ? fieldsOf(connector) : EMPTY);
  const [username, setUsername] = useState("");
  const [secret, setSecret] = useState("");
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string>();
  const isReadable = parseConfig(fields.config) !== undefined && parseTags(fields.tags).errors.length === 0;
  const save = async () => {
    setSending(true);
    setError(undefined);
    const given = secretOf(username, secret);
    try {
      // Not a mutation of TanStack Query, which would keep the secret in its cache.
      if (connector) await connectors.change(connector.id, { ...changesOf(connector, fields), secret: given });
      else await connectors.create({ ...connectorOf(fields), secret: given });
      discard();
      onSaved();
    } catch (cause) {
      setError(cause instanceof Error && cause.message ? cause.message : t("notSaved"));
      setSending(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void save();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <Place fields={fields} onChange={set} isNew={connector === undefined} />
      {fields.kind !== "simulator" && (
        <>
          <Field label={t("userName")} hint={t("connector.userNameHint")}>
            {(ids) => (
              <Input
                {...ids}
                autoComplete="off"
                value={username}
                onChange={(event) => setUsername(event.target.value)}
              />
            )}
          </Field>
          <Field label={t("secret")} hint={`${t("connector.secretHint")} ${t("secretHint")}`}>
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
      <Texts fields={fields} onChange={set} />
      <Recording fields={fields} onChange={set} />
      <Checkbox
        label={t("connector.enabled")}
        checked={fields.enabled}
        onChange={(event) => set({ ...fields, enabled: event.target.checked })}
      />
      {error && <Notice>{error}</Notice>}
      <Button type="submit" variant="primary" disabled={isSending || !isReadable || !fields.name.trim()}>
        {t("save")}
      </Button>
    </form>
  );
}
