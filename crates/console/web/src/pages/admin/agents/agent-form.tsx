import { useMutation, useQuery } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { api, body } from "@/api/client";
import type { ManagedAgent } from "@/api/types";
import { Choices } from "@/components/choices";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Field, Input, Select, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";

interface AgentFormProps {
  /** The agent that is changed; a new one without it. */
  agent?: ManagedAgent;
  onSaved: () => void;
  onClose: () => void;
}

const TIERS = ["auto", "fast", "heavy"] as const;

interface Fields {
  name: string;
  description: string;
  instructions: string;
  tools: string[];
  model: (typeof TIERS)[number];
}

const EMPTY: Fields = { name: "", description: "", instructions: "", tools: [], model: "auto" };

function fieldsOf({ name, description, instructions, tools, model }: ManagedAgent): Fields {
  return { name, description, instructions, tools, model };
}

/** The tools that the administrator may call, by name. */
function useToolNames() {
  return useQuery({
    queryKey: ["tools", "names"],
    queryFn: async () => (await body(api.GET("/v1/tools"))).data.map(({ name }) => name),
  });
}

export function AgentForm({ agent, onSaved, onClose }: AgentFormProps) {
  const { t } = useI18n();
  const tools = useToolNames();
  const initial = agent ? fieldsOf(agent) : EMPTY;
  const { fields, set, discard } = useFormDraft<Fields>(`agent.${agent?.name ?? "new"}`, initial);
  const save = useMutation({
    mutationFn: () => {
      const { name, ...change } = fields;
      if (!agent) return api.POST("/v1/admin/agents", { body: fields });
      return api.PATCH("/v1/admin/agents/{name}", { params: { path: { name } }, body: change });
    },
    onSuccess: () => {
      discard();
      onSaved();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const change = (name: keyof Fields) => (event: { target: { value: string } }) =>
    set({ ...fields, [name]: event.target.value });
  const isComplete = fields.name && fields.description.trim() && fields.instructions.trim() && fields.tools.length > 0;
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      {!agent && (
        <Field label={t("name")} hint={t("agents.nameHint")}>
          {(ids) => (
            <Input
              {...ids}
              required
              maxLength={64}
              pattern="[a-z][a-z0-9_]*"
              value={fields.name}
              onChange={change("name")}
            />
          )}
        </Field>
      )}
      <Field label={t("agents.description")} hint={t("agents.descriptionHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            required
            rows={2}
            maxLength={1_000}
            value={fields.description}
            onChange={change("description")}
          />
        )}
      </Field>
      <Field label={t("agents.instructions")} hint={t("agents.instructionsHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            required
            rows={5}
            maxLength={4_000}
            value={fields.instructions}
            onChange={change("instructions")}
          />
        )}
      </Field>
      {tools.isError && <Notice>{tools.error.message || t("notReachable")}</Notice>}
      <Choices
        name={t("agents.tools")}
        hint={t("agents.toolsHint")}
        find={t("agents.findTool")}
        items={new Map(tools.data?.map((name) => [name, name]))}
        chosen={fields.tools}
        onChange={(chosen) => set({ ...fields, tools: chosen })}
      />
      <Field label={t("tier")}>
        {(ids) => (
          <Select {...ids} value={fields.model} onChange={change("model")}>
            {TIERS.map((tier) => (
              <option key={tier} value={tier}>
                {t(`tier.${tier}`)}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {save.isError && <Notice>{save.error.message || t("notSaved")}</Notice>}
      <Button type="submit" variant="primary" disabled={save.isPending || !isComplete}>
        {t("save")}
      </Button>
    </form>
  );
}
