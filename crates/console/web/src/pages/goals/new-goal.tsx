import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ListChecks } from "lucide-react";
import { type FormEvent, useId } from "react";
import { useNavigate } from "react-router";
import { goals } from "@/api/goals";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/feedback";
import { Checkbox, Field, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useFormDraft } from "@/lib/use-form-draft";
import { showGoal } from "./use-goal";

const EMPTY = { objective: "", asksFirst: true };
const MAX_OBJECTIVE = 4_000;

/** States a new goal, and opens it. */
export function NewGoal() {
  const { t } = useI18n();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const hint = useId();
  const { fields, set, discard } = useFormDraft("goal", EMPTY);
  const create = useMutation({
    mutationFn: () => goals.create(fields.objective.trim(), fields.asksFirst ? "required" : "none"),
    onSuccess: (goal) => {
      discard();
      showGoal(queries, goal);
      void navigate(`/goals/${goal.id}`);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form
      aria-label={t("goal.new")}
      onSubmit={submit}
      className="flex flex-col gap-3 rounded-lg border border-line bg-raised p-4"
    >
      <Field label={t("goal.objective")} hint={t("goal.objectiveHint")}>
        {(ids) => (
          <TextArea
            {...ids}
            required
            rows={3}
            maxLength={MAX_OBJECTIVE}
            value={fields.objective}
            onChange={(event) => set({ ...fields, objective: event.target.value })}
          />
        )}
      </Field>
      <div>
        <Checkbox
          label={t("goal.askFirst")}
          aria-describedby={hint}
          checked={fields.asksFirst}
          onChange={(event) => set({ ...fields, asksFirst: event.target.checked })}
        />
        <p id={hint} className="text-sm text-quiet">
          {t("goal.askFirstHint")}
        </p>
      </div>
      {create.isError && <Notice>{create.error.message || t("notReachable")}</Notice>}
      <Button
        type="submit"
        variant="primary"
        className="self-start"
        disabled={create.isPending || !fields.objective.trim()}
      >
        <ListChecks aria-hidden /> {t("goal.create")}
      </Button>
    </form>
  );
}
