import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { useNavigate } from "react-router";
import { api, body } from "@/api/client";
import type { Team } from "@/api/types";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { useRefreshTeams } from "./queries";
import { MAX_SLUG, suggestedSlug } from "./slug";

interface TeamFormProps {
  /** The team that is changed; a new one without it. */
  team?: Team;
  onClose: () => void;
}

const MAX_NAME = 128;

export function TeamForm({ team, onClose }: TeamFormProps) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const refresh = useRefreshTeams();
  const initial = { name: team?.name ?? "", slug: team?.slug ?? "" };
  const { fields, set, discard } = useFormDraft(`team.${team?.id ?? "new"}`, initial);
  const save = useMutation({
    mutationFn: () => {
      const sent = { name: fields.name.trim(), slug: fields.slug };
      if (!team) return body(api.POST("/v1/teams", { body: sent }));
      return body(api.PATCH("/v1/teams/{id}", { params: { path: { id: team.id } }, body: sent }));
    },
    onSuccess: (saved) => {
      discard();
      void refresh();
      onClose();
      if (!team) void navigate(`/teams/${saved.id}`);
    },
  });
  const rename = (name: string) => {
    // Until the short name is written by hand, it follows the name.
    const follows = !team && fields.slug === suggestedSlug(fields.name);
    set({ name, slug: follows ? suggestedSlug(name) : fields.slug });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <Field label={t("name")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={MAX_NAME}
            value={fields.name}
            onChange={(event) => rename(event.target.value)}
          />
        )}
      </Field>
      <Field label={t("team.slug")} hint={t("team.slugHint")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={MAX_SLUG}
            pattern="[a-z0-9][a-z0-9\-]*"
            value={fields.slug}
            onChange={(event) => set({ ...fields, slug: event.target.value })}
          />
        )}
      </Field>
      {save.isError && <Notice>{save.error.message || t("notSaved")}</Notice>}
      <Button type="submit" variant="primary" disabled={save.isPending || !fields.name.trim() || !fields.slug}>
        {t("save")}
      </Button>
    </form>
  );
}
