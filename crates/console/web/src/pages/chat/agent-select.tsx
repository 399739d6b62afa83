import { useState } from "react";
import { useAccount } from "@/account";
import { hasFeature } from "@/api/features";
import { Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { useAgents } from "@/pages/goals/use-agents";

/** Who answers: the assistant alone if empty, `auto` for the assistant with specialists, or the name of an agent. */
export type AgentChoice = string;

interface AgentSelectProps {
  agent: AgentChoice;
  onChange: (agent: AgentChoice) => void;
}

/** Chooses who answers. A server without agents has no choice. */
export function AgentSelect({ agent, onChange }: AgentSelectProps) {
  const { t } = useI18n();
  const isViewer = useAccount().role === "viewer";
  // Viewers have few requests a minute: the names are loaded for those who reach for the choice.
  const [isWanted, setWanted] = useState(!isViewer);
  const agents = useAgents(hasFeature("agents") && isWanted);
  if (!hasFeature("agents") || agents.data?.length === 0) return null;
  const isKnown = agent === "" || agent === "auto" || agents.data?.some(({ name }) => name === agent);
  return (
    <Select
      aria-label={t("chatAgent.label")}
      className="w-auto min-w-0 max-w-44 flex-1 sm:flex-none"
      value={isKnown ? agent : ""}
      onFocus={() => setWanted(true)}
      onPointerEnter={() => setWanted(true)}
      onChange={(event) => onChange(event.target.value)}
    >
      <option value="">{t("chatAgent.none")}</option>
      <option value="auto">{t("chatAgent.auto")}</option>
      {agents.data?.map(({ name, description }) => (
        <option key={name} value={name} title={description}>
          {name}
        </option>
      ))}
    </Select>
  );
}
