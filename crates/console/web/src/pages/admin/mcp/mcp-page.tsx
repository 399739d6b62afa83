import { useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { type McpServer, mcpServers } from "@/api/mcp";
import { DeleteDialog } from "@/components/delete-dialog";
import { PagedList, usePages } from "@/components/pages";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge } from "@/components/ui/feedback";
import { useI18n } from "@/i18n";
import { ServerForm } from "./server-form";
import { ToolsDialog } from "./tools-dialog";

const KEY = ["mcp-servers"];

type Action = { kind: "create"; server?: undefined } | { kind: "tools" | "delete"; server: McpServer };

function Row({ server, onOpen }: { server: McpServer; onOpen: (action: Action) => void }) {
  const { t } = useI18n();
  const { name, url, tools, auth } = server;
  const allowed = tools.filter(({ state }) => state === "allowed").length;
  const changed = tools.filter(({ state }) => state === "changed").length;
  const facts = [url, t("mcp.allowedCount", { count: allowed, all: tools.length }), auth && t("secretSet")];
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg border border-line bg-raised p-3">
      <div className="min-w-0 flex-1 basis-56">
        <p className="font-semibold [overflow-wrap:anywhere]">{name}</p>
        <p className="text-sm text-quiet [overflow-wrap:anywhere]">{facts.filter(Boolean).join(" · ")}</p>
      </div>
      {changed > 0 && <Badge tone="warning">{t("mcp.changedCount", { count: changed })}</Badge>}
      <div className="flex flex-wrap gap-2">
        <Button onClick={() => onOpen({ kind: "tools", server })}>{t("mcp.tools")}</Button>
        <Button onClick={() => onOpen({ kind: "delete", server })}>{t("delete")}</Button>
      </div>
    </li>
  );
}

/** Servers of others, whose tools are allowed one by one. */
export function McpPage() {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [action, setAction] = useState<Action>();
  const list = usePages<McpServer>({ key: KEY, staleTime: 0, load: (cursor) => mcpServers.list(cursor) });
  const reload = () => void queries.invalidateQueries({ queryKey: KEY });
  const close = () => setAction(undefined);
  return (
    <section aria-label={t("mcpServers")} className="flex flex-col gap-3">
      <p className="text-quiet">{t("mcp.hint")}</p>
      <Button className="self-start" onClick={() => setAction({ kind: "create" })}>
        <Plus aria-hidden /> {t("mcp.add")}
      </Button>
      <PagedList list={list} empty={t("mcp.none")}>
        {(all) => (
          <ul aria-label={t("mcpServers")} className="flex flex-col gap-2">
            {all.map((server) => (
              <Row key={server.id} server={server} onOpen={setAction} />
            ))}
          </ul>
        )}
      </PagedList>
      {action?.kind === "create" && (
        <Dialog open onClose={close} title={t("mcp.add")}>
          <ServerForm
            onSaved={(server) => {
              reload();
              setAction({ kind: "tools", server });
            }}
          />
        </Dialog>
      )}
      {action?.kind === "tools" && (
        <ToolsDialog
          server={action.server}
          onSaved={() => {
            reload();
            close();
          }}
          onClose={() => {
            // Its tools were looked at, and may be others.
            reload();
            close();
          }}
        />
      )}
      {action?.kind === "delete" && (
        <DeleteDialog
          title={t("mcp.confirmDeletion", { name: action.server.name })}
          description={t("mcp.confirmDeletionHint")}
          remove={() => mcpServers.remove(action.server.id)}
          onDeleted={reload}
          onClose={close}
        />
      )}
    </section>
  );
}
