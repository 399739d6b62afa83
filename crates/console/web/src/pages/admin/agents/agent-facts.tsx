import type { ManagedAgent } from "@/api/types";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";

/** All of an agent, to read. */
export function AgentFacts({ agent }: { agent: ManagedAgent }) {
  const { t } = useI18n();
  const facts = [
    [t("agents.description"), visibleText(agent.description)],
    [t("agents.instructions"), visibleText(agent.instructions)],
    [t("agents.tools"), agent.tools.join(", ")],
    [t("tier"), t(`tier.${agent.model}`)],
  ];
  return (
    <dl className="flex flex-col gap-2">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt className="text-sm text-quiet">{name}</dt>
          <dd className="[overflow-wrap:anywhere] whitespace-pre-wrap">{value}</dd>
        </div>
      ))}
      <div>
        <dt className="text-sm text-quiet">{t("agents.digest")}</dt>
        <dd className="font-mono text-sm [overflow-wrap:anywhere]">{agent.instructions_digest}</dd>
      </div>
    </dl>
  );
}
