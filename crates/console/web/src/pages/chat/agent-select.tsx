import { hasFeature } from "@/api/features";
import { Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useAgents } from "@/pages/goals/use-agents";

/** Who answers: the assistant alone if empty, `auto` for the assistant with specialists, or the name of an agent. */
export type AgentChoice = string;

/** Chooses who answers. A server without agents has no choice. */
export function AgentSelect({ agent, onChange }: { agent: AgentChoice; onChange: (agent: AgentChoice) => void }) {
  const { t } = useI18n();
  const agents = useAgents(hasFeature("agents"));
  if (!agents.data?.length) return null;
  const isKnown = agent === "" || agent === "auto" || agents.data.some(({ name }) => name === agent);
  return (
    <Select
      aria-label={t("chatAgent.label")}
      className="w-auto min-w-0 max-w-44 flex-1 sm:flex-none"
      value={isKnown ? agent : ""}
      onChange={(event) => onChange(event.target.value)}
    >
      <option value="">{t("chatAgent.none")}</option>
      <option value="auto">{t("chatAgent.auto")}</option>
      {agents.data.map(({ name, description }) => (
        <option key={name} value={name} title={description}>
          {name}
        </option>
      ))}
    </Select>
  );
}
