// Adds an MCP server. Its token is in this form's state alone, and gone when the form closes.

import { type FormEvent, useState } from "react";
import { type McpServer, mcpServers } from "@/api/mcp";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";

const EMPTY = { name: "", url: "" };

export function ServerForm({ onSaved }: { onSaved: (server: McpServer) => void }) {
  const { t } = useI18n();
  const { fields, set, discard } = useFormDraft("mcp-server", EMPTY);
  const [token, setToken] = useState("");
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string>();
  const save = async () => {
    setSending(true);
    setError(undefined);
    try {
      // Not a mutation of TanStack Query, which would keep the token in its cache.
      const auth = token ? { auth: { type: "bearer" as const, token } } : {};
      const created = await mcpServers.create({ name: fields.name.trim(), url: fields.url.trim(), ...auth });
      discard();
      onSaved(created);
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
      <Field label={t("name")} hint={t("mcp.nameHint")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={32}
            pattern="[A-Za-z0-9]([A-Za-z0-9_\-]*[A-Za-z0-9])?"
            value={fields.name}
            onChange={(event) => set({ ...fields, name: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("mcp.url")}>
        {(ids) => (
          <Input
            {...ids}
            required
            type="url"
            maxLength={2_048}
            value={fields.url}
            onChange={(event) => set({ ...fields, url: event.target.value })}
          />
        )}
      </Field>
      <Field label={t("secret")} hint={t("mcp.tokenHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            autoComplete="off"
            maxLength={4_096}
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        )}
      </Field>
      {error && <Notice>{error}</Notice>}
      <Button type="submit" variant="primary" disabled={isSending || !fields.name.trim() || !fields.url.trim()}>
        {t("save")}
      </Button>
    </form>
  );
}
