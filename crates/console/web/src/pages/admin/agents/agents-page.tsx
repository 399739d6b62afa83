import { useQueries, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { api, body } from "@/api/client";
import { hasFeature } from "@/api/features";
import type { Agent, ManagedAgent } from "@/api/types";
import { DeleteDialog } from "@/components/delete-dialog";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Empty, LoadError, Spinner } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { AGENTS_KEY, useAgents } from "@/pages/goals/use-agents";
import { AgentForm } from "./agent-form";
import { AgentFacts } from "./agent-facts";

type Action = { kind: "create" } | { kind: "look" | "change" | "delete"; agent: ManagedAgent };

/** All of each agent, which the list does not tell: its instructions, and whether it is the platform's. */
function useManagedAgents(agents: readonly Agent[]) {
  return useQueries({
    queries: agents.map(({ name }) => ({
      queryKey: [...AGENTS_KEY, "managed", name],
      queryFn: () => body(api.GET("/v1/admin/agents/{name}", { params: { path: { name } } })),
    })),
  });
}

interface RowProps {
  agent: Agent;
  /** Missing until it is loaded. */
  managed: ManagedAgent | undefined;
  onOpen: (action: Action) => void;
}

function Row({ agent: { name, description, tools, model }, managed, onOpen }: RowProps) {
  const { t } = useI18n();
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-64">
        <p className="font-semibold [overflow-wrap:anywhere]">{name}</p>
        <p className="[overflow-wrap:anywhere]">{visibleText(description)}</p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">
          {(managed?.tools ?? tools).join(", ")} · {t(`tier.${model}`)}
        </p>
      </div>
      {managed && <Badge>{t(managed.builtin ? "agents.builtin" : "agents.own")}</Badge>}
      {managed && (
        <div className="flex flex-wrap gap-2">
          {managed.builtin ? (
            <Button onClick={() => onOpen({ kind: "look", agent: managed })}>{t("agents.look")}</Button>
          ) : (
            <>
              <Button onClick={() => onOpen({ kind: "change", agent: managed })}>{t("change")}</Button>
              <Button onClick={() => onOpen({ kind: "delete", agent: managed })}>{t("delete")}</Button>
            </>
          )}
        </div>
      )}
    </li>
  );
}

/** The agents of the plant: those of the platform to look at, and the plant's own. */
export function AgentsPage() {
  const { t } = useI18n();
  const queries = useQueryClient();
  const agents = useAgents();
  const managed = useManagedAgents(agents.data ?? []);
  const [action, setAction] = useState<Action>();
  const close = () => setAction(undefined);
  const reload = () => void queries.invalidateQueries({ queryKey: AGENTS_KEY });
  const failed = managed.find(({ isError }) => isError);
  return (
    <section aria-label={t("agents")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("agents.hint")}</p>
      {hasFeature("ownAgents") && (
        <Button className="self-start" onClick={() => setAction({ kind: "create" })}>
          <Plus aria-hidden /> {t("agents.add")}
        </Button>
      )}
      {agents.isPending && <Spinner label={t("loading")} />}
      {agents.isError && <LoadError error={agents.error} retry={() => void agents.refetch()} />}
      {failed && <LoadError error={failed.error} retry={() => void failed.refetch()} />}
      {agents.data?.length === 0 && <Empty>{t("agents.noneUsable")}</Empty>}
      <ul aria-label={t("agents")} className="flex flex-col gap-2">
        {agents.data?.map((agent, index) => (
          <Row key={agent.name} agent={agent} managed={managed[index]?.data} onOpen={setAction} />
        ))}
      </ul>
      <p className="text-sm text-quiet">{t("agents.hidden")}</p>
      {action?.kind === "create" && (
        <Dialog open onClose={close} title={t("agents.add")}>
          <AgentForm onSaved={reload} onClose={close} />
        </Dialog>
      )}
      {action?.kind === "change" && (
        <Dialog open onClose={close} title={t("agents.changeOne", { name: action.agent.name })}>
          <AgentForm agent={action.agent} onSaved={reload} onClose={close} />
        </Dialog>
      )}
      {action?.kind === "look" && (
        <Dialog open onClose={close} title={t("agents.view", { name: action.agent.name })}>
          <AgentFacts agent={action.agent} />
        </Dialog>
      )}
      {action?.kind === "delete" && (
        <DeleteDialog
          title={t("agents.confirmDeletion", { name: action.agent.name })}
          description={t("agents.confirmDeletionHint")}
          remove={() => api.DELETE("/v1/admin/agents/{name}", { params: { path: { name: action.agent.name } } })}
          onDeleted={reload}
          onClose={close}
        />
      )}
    </section>
  );
}
