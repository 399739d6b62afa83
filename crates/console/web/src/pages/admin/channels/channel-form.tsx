// Creates or changes a channel. Its secret is in this form's state alone, and gone when the form closes.

import { type FormEvent, useState } from "react";
import { CHANNEL_KINDS, type Channel, type ChannelKind, EMAIL_ENCRYPTIONS, type EmailEncryption, channels } from "@/api/plant";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input, Select, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { type ChannelFields, EMPTY, changedConfig, configOf, fieldsOf, secretOf } from "./fields";

interface PartProps {
  fields: ChannelFields;
  onChange: (fields: ChannelFields) => void;
}

function EmailFields({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  const set = (name: "host" | "port" | "from" | "to") => (event: { target: { value: string } }) =>
    onChange({ ...fields, [name]: event.target.value });
  return (
    <>
      <Field label={t("channel.host")}>
        {(ids) => <Input {...ids} required maxLength={253} value={fields.host} onChange={set("host")} />}
      </Field>
      <Field label={t("channel.tls")}>
        {(ids) => (
          <Select
            {...ids}
            value={fields.tls}
            onChange={(event) => onChange({ ...fields, tls: event.target.value as EmailEncryption })}
          >
            {EMAIL_ENCRYPTIONS.map((one) => (
              <option key={one} value={one}>
                {t(`channel.tls.${one}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label={t("channel.port")} hint={t("channel.portHint")}>
        {(ids) => <Input {...ids} type="number" min={1} max={65_535} value={fields.port} onChange={set("port")} />}
      </Field>
      <Field label={t("channel.from")}>
        {(ids) => <Input {...ids} required type="email" value={fields.from} onChange={set("from")} />}
      </Field>
      <Field label={t("channel.to")} hint={t("channel.toHint")}>
        {(ids) => <TextArea {...ids} required value={fields.to} onChange={set("to")} />}
      </Field>
    </>
  );
}

interface SecretFieldsProps {
  kind: ChannelKind;
  username: string;
  secret: string;
  onUsername: (text: string) => void;
  onSecret: (text: string) => void;
}

function SecretFields({ kind, username, secret, onUsername, onSecret }: SecretFieldsProps) {
  const { t } = useI18n();
  return (
    <>
      {kind === "email" && (
        <Field label={t("userName")}>
          {(ids) => <Input {...ids} autoComplete="off" value={username} onChange={(event) => onUsername(event.target.value)} />}
        </Field>
      )}
      <Field label={t("secret")} hint={`${t(`channel.secret.${kind}`)} ${t("secretHint")}`}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            autoComplete="off"
            maxLength={4_096}
            value={secret}
            onChange={(event) => onSecret(event.target.value)}
          />
        )}
      </Field>
    </>
  );
}

function ConfigFields({ fields, onChange }: PartProps) {
  const { t } = useI18n();
  if (fields.kind === "email") return <EmailFields fields={fields} onChange={onChange} />;
  return (
    <Field label={t("channel.url")} hint={t(`channel.urlHint.${fields.kind}`)}>
      {(ids) => (
        <Input
          {...ids}
          required
          type="url"
          maxLength={2_000}
          value={fields.url}
          onChange={(event) => onChange({ ...fields, url: event.target.value })}
        />
      )}
    </Field>
  );
}

interface ChannelFormProps {
  /** The channel to change; a new one unless given. */
  channel?: Channel;
  onSaved: () => void;
}

export function ChannelForm({ channel, onSaved }: ChannelFormProps) {
  const { t } = useI18n();
  const { fields, set, discard } = useFormDraft(`channel.${channel?.id ?? "new"}`, channel ? fieldsOf(channel) : EMPTY);
  const [username, setUsername] = useState("");
  const [secret, setSecret] = useState("");
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string>();
  const save = async () => {
    setSending(true);
    setError(undefined);
    const [name, given] = [fields.name.trim(), secretOf(username, secret)];
    try {
      // Not a mutation of TanStack Query, which would keep the secret in its cache.
      if (channel) await channels.change(channel.id, { name, config: changedConfig(channel, fields), secret: given });
      else await channels.create({ name, kind: fields.kind, config: configOf(fields), secret: given });
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
      <Field label={t("name")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={128}
            value={fields.name}
            onChange={(event) => set({ ...fields, name: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("channel.kind")}>
        {(ids) => (
          <Select
            {...ids}
            disabled={channel !== undefined}
            value={fields.kind}
            onChange={(event) => set({ ...fields, kind: event.target.value as ChannelKind })}
          >
            {CHANNEL_KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {t(`channel.kind.${kind}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <ConfigFields fields={fields} onChange={set} />
      <SecretFields kind={fields.kind} username={username} secret={secret} onUsername={setUsername} onSecret={setSecret} />
      {error && <Notice>{error}</Notice>}
      <Button type="submit" variant="primary" disabled={isSending || !fields.name.trim()}>
        {t("save")}
      </Button>
    </form>
  );
}
