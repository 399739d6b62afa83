// Creates an access token. Its secret is in this dialog's state alone, and gone when the dialog closes.

import { type FormEvent, useEffect, useRef, useState } from "react";
import { api, body } from "@/api/client";
import { CopyButton } from "@/components/copy-button";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/feedback";
import { Checkbox, Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { type Scope, scopeGroups } from "./scopes";

interface Fields {
  name: string;
  scopes: Scope[];
  days: string;
}

const EMPTY: Fields = { name: "", scopes: [], days: "" };

function ScopeChoice({ chosen, onChange }: { chosen: readonly Scope[]; onChange: (scopes: Scope[]) => void }) {
  const { t } = useI18n();
  const toggle = (scope: Scope, isOn: boolean) => onChange([...chosen.filter((one) => one !== scope), ...(isOn ? [scope] : [])]);
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="text-sm font-medium">{t("tokenScopes")}</legend>
      <p className="text-sm text-quiet">{t("tokenScopesHint")}</p>
      {scopeGroups().map(({ resource, scopes }) => (
        <fieldset key={resource} className="min-w-0 border-t border-line pt-1">
          <legend className="pr-2 font-semibold">{t(`resource.${resource}`)}</legend>
          <div className="flex flex-wrap gap-x-3">
            {scopes.map(({ scope, operation }) => (
              <Checkbox
                key={scope}
                label={t(`operation.${operation}`)}
                checked={chosen.includes(scope)}
                onChange={(event) => toggle(scope, event.target.checked)}
              />
            ))}
          </div>
        </fieldset>
      ))}
    </fieldset>
  );
}

function NewTokenForm({ onCreated }: { onCreated: (secret: string) => void }) {
  const { t } = useI18n();
  const { fields, set, discard } = useFormDraft("token", EMPTY);
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string>();
  const create = async () => {
    setSending(true);
    setError(undefined);
    try {
      const days = Number(fields.days) || null;
      const request = { name: fields.name.trim(), scopes: fields.scopes, expires_in_days: days };
      // Not a mutation of TanStack Query, which would keep the secret in its cache.
      const { secret } = await body(api.POST("/v1/tokens", { body: request }));
      discard();
      onCreated(secret);
    } catch (cause) {
      setError(cause instanceof Error && cause.message ? cause.message : t("notSaved"));
      setSending(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void create();
  };
  return (
    <form className="flex flex-col gap-4" onSubmit={submit}>
      <Field label={t("tokenName")}>
        {(ids) => (
          <Input {...ids} required maxLength={128} value={fields.name} onChange={(event) => set({ ...fields, name: event.target.value })} />
        )}
      </Field>
      <Field label={t("tokenDays")} hint={t("tokenDaysHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="number"
            min={1}
            max={3650}
            value={fields.days}
            onChange={(event) => set({ ...fields, days: event.target.value })}
          />
        )}
      </Field>
      <ScopeChoice chosen={fields.scopes} onChange={(scopes) => set({ ...fields, scopes })} />
      {error && <Notice>{error}</Notice>}
      <Button type="submit" variant="primary" disabled={isSending || !fields.name.trim() || fields.scopes.length === 0}>
        {t("newToken")}
      </Button>
    </form>
  );
}

function Secret({ secret, onDone }: { secret: string; onDone: () => void }) {
  const { t } = useI18n();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);
  return (
    <div className="flex flex-col gap-4">
      <div className="flex items-end gap-2">
        <Field label={t("tokenSecret")} hint={t("tokenSecretHint")} className="flex-1">
          {(ids) => <Input {...ids} ref={input} readOnly autoComplete="off" spellCheck={false} className="font-mono" value={secret} />}
        </Field>
        <CopyButton text={secret} />
      </div>
      <Button variant="primary" onClick={onDone}>
        {t("tokenStored")}
      </Button>
    </div>
  );
}

export function NewTokenDialog({ onClose, onCreated }: { onClose: () => void; onCreated: () => void }) {
  const { t } = useI18n();
  const [secret, setSecret] = useState<string>();
  const created = (value: string) => {
    setSecret(value);
    onCreated();
  };
  if (secret === undefined) {
    return (
      <Dialog open onClose={onClose} title={t("newToken")} description={t("accessTokensHint")}>
        <NewTokenForm onCreated={created} />
      </Dialog>
    );
  }
  // Without `onClose`: a slip of the finger must not close what cannot be shown again.
  return (
    <Dialog open title={t("tokenCreated")}>
      <Secret secret={secret} onDone={onClose} />
    </Dialog>
  );
}
