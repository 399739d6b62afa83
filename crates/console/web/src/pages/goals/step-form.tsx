import { ArrowDown, ArrowUp, Trash2 } from "lucide-react";
import { IconButton } from "@/components/ui/button";
import { Checkbox, Field, Input, Select, TextArea } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import {
  type DraftStep,
  MAX_INSTRUCTION,
  MAX_TITLE,
  changeStep,
  moveStep,
  possibleDependencies,
  removeStep,
  toggleDependency,
} from "./edits";

interface StepFormProps {
  step: DraftStep;
  steps: readonly DraftStep[];
  number: number;
  agents: readonly string[];
  onChange: (steps: DraftStep[]) => void;
}

function AgentField({ step, steps, agents, onChange }: StepFormProps) {
  const { t } = useI18n();
  const isKnown = step.agent === "" || agents.includes(step.agent);
  return (
    <Field label={t("step.agent")} className="basis-60">
      {(ids) => (
        <Select
          {...ids}
          required
          value={step.agent}
          onChange={(event) => onChange(changeStep(steps, step.id, { agent: event.target.value }))}
        >
          {step.agent === "" && <option value="" />}
          {!isKnown && <option value={step.agent}>{t("step.agentGone", { agent: step.agent })}</option>}
          {agents.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

function Dependencies({ step, steps, onChange }: StepFormProps) {
  const { t } = useI18n();
  const possible = possibleDependencies(steps, step.id);
  return (
    <fieldset className="flex min-w-0 flex-col rounded-md border border-line px-3 py-1">
      <legend className="px-1 text-sm font-medium">{t("step.dependencies")}</legend>
      {possible.length === 0 && <p className="text-sm text-quiet">{t("step.noDependencies")}</p>}
      <div className="flex flex-wrap gap-x-3">
        {possible.map((other) => (
          <Checkbox
            key={other.id}
            label={other.title || t("step.number", { number: steps.indexOf(other) + 1 })}
            checked={step.depends_on.includes(other.id)}
            onChange={(event) => onChange(toggleDependency(steps, step.id, other.id, event.target.checked))}
          />
        ))}
      </div>
    </fieldset>
  );
}

/** The fields of one step. */
export function StepForm(props: StepFormProps) {
  const { step, steps, number, onChange } = props;
  const { t } = useI18n();
  const change = (name: "title" | "instruction") => (event: { target: { value: string } }) =>
    onChange(changeStep(steps, step.id, { [name]: event.target.value }));
  return (
    <fieldset className="flex min-w-0 flex-col gap-3 rounded-lg border border-line bg-raised p-4">
      <legend className="px-1 font-semibold">{t("step.number", { number })}</legend>
      <div className="flex flex-wrap items-end gap-3">
        <Field label={t("step.title")} className="flex-1 basis-60">
          {(ids) => <Input {...ids} required maxLength={MAX_TITLE} value={step.title} onChange={change("title")} />}
        </Field>
        <AgentField {...props} />
        <div className="flex">
          <IconButton
            label={t("step.earlier", { number })}
            disabled={number === 1}
            onClick={() => onChange(moveStep(steps, step.id, -1))}
          >
            <ArrowUp />
          </IconButton>
          <IconButton
            label={t("step.later", { number })}
            disabled={number === steps.length}
            onClick={() => onChange(moveStep(steps, step.id, 1))}
          >
            <ArrowDown />
          </IconButton>
          <IconButton
            label={t("step.remove", { number })}
            disabled={steps.length === 1}
            onClick={() => onChange(removeStep(steps, step.id))}
          >
            <Trash2 />
          </IconButton>
        </div>
      </div>
      <Field label={t("step.instruction")}>
        {(ids) => (
          <TextArea
            {...ids}
            required
            rows={3}
            maxLength={MAX_INSTRUCTION}
            value={step.instruction}
            onChange={change("instruction")}
          />
        )}
      </Field>
      <Dependencies {...props} />
    </fieldset>
  );
}
