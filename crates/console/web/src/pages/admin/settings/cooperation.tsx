// The groups of the settings form about goals, and about teams across plants.

import { Checkbox } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { CLASSES } from "@/pages/documents/uploader";
import { Choice, Group, NumberField } from "./controls";
import type { GroupProps } from "./groups";

export function GoalsGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { goals } = fields;
  const change = (next: Partial<typeof goals>) => set({ ...fields, goals: { ...goals, ...next } });
  return (
    <Group title={t("settings.goals")}>
      <Checkbox
        label={t("settings.requireApproval")}
        checked={goals.requireApproval}
        onChange={(event) => change({ requireApproval: event.target.checked })}
      />
      <div className="grid gap-4 sm:grid-cols-2">
        <NumberField
          label={t("settings.parallelSteps")}
          hint={t("settings.parallelStepsHint")}
          min={1}
          max={100}
          value={goals.maxParallelSteps}
          onChange={(maxParallelSteps) => change({ maxParallelSteps })}
        />
      </div>
    </Group>
  );
}

export function TeamsGroup({ fields, set }: GroupProps) {
  const { t } = useI18n();
  const { teams } = fields;
  const change = (next: Partial<typeof teams>) => set({ ...fields, teams: { ...teams, ...next } });
  return (
    <Group title={t("settings.teams")}>
      <Checkbox
        label={t("settings.hostGuests")}
        checked={teams.hostGuests}
        onChange={(event) => change({ hostGuests: event.target.checked })}
      />
      <Checkbox
        label={t("settings.joinOthers")}
        checked={teams.joinOthers}
        onChange={(event) => change({ joinOthers: event.target.checked })}
      />
      <div className="grid gap-4 sm:grid-cols-2">
        <Choice
          label={t("settings.guestClassification")}
          value={teams.guestClassification}
          options={CLASSES.map((name) => ({ value: name, label: t(`class.${name}`) }))}
          onChange={(guestClassification) => change({ guestClassification })}
        />
        <NumberField
          label={t("settings.deleteAfterDays")}
          hint={t("settings.deleteAfterDaysHint")}
          min={0}
          max={3650}
          value={teams.deleteAfterDays}
          onChange={(deleteAfterDays) => change({ deleteAfterDays })}
        />
      </div>
    </Group>
  );
}
