import { useAccount } from "@/account";
import { Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { cn } from "@/lib/utils";
import { useTeams } from "./use-space";

interface SwitchProps {
  /** Id of the team that is shown; without one, it is the plant's own space. */
  team: string | undefined;
  onChange: (team: string | undefined) => void;
  className?: string;
}

/** Chooses between the plant's own space and the user's teams. Whoever has no team does not see it. */
export function SpaceSwitch({ team, onChange, className }: SwitchProps) {
  const { t } = useI18n();
  const { tenant } = useAccount();
  const teams = useTeams();
  const offered = (teams.data ?? []).filter(({ deleted_at }) => !deleted_at);
  if (!team && offered.length === 0) return null;
  const isKnown = !team || offered.some(({ id }) => id === team);
  return (
    <Field label={t("space")} className={cn("max-w-72", className)}>
      {(ids) => (
        <Select {...ids} value={team ?? ""} onChange={(event) => onChange(event.target.value || undefined)}>
          <option value="">{t("space.home", { plant: visibleText(tenant.name) })}</option>
          {!isKnown && <option value={team}>{t(teams.isPending ? "loading" : "space.unknown")}</option>}
          {offered.map(({ id, name }) => (
            <option key={id} value={id}>
              {visibleText(name)}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}
