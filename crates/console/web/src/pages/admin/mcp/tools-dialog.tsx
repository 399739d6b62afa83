// Decides which tools of an MCP server may be called. The decision names the definitions that are shown here, so what a
// server shows afterwards is not allowed by it.

import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "@/api/client";
import { type McpServer, type McpTool, type McpToolState, mcpServers } from "@/api/mcp";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Badge, Empty, LoadError, Notice, Spinner } from "@/components/ui/feedback";
import { Checkbox, Field, Select } from "@/components/ui/field";
import { useI18n } from "@/i18n";
import { visibleText } from "@/lib/invisible";
import { Differences, ExactValue } from "@/pages/approvals/payload";
import { CLASSES } from "@/pages/documents/uploader";
import { type Choice, type Choices, contentOf, decisionsOf, firstChoice } from "./decisions";

const TONES: Record<McpToolState, "plain" | "warning"> = { new: "plain", allowed: "plain", changed: "warning", missing: "warning" };

function Definition({ tool: { definition, allowed_definition } }: { tool: McpTool }) {
  const { t } = useI18n();
  if (!definition) return null;
  return (
    <>
      {definition.description && (
        <p className="text-sm [overflow-wrap:anywhere] whitespace-pre-wrap">{visibleText(definition.description)}</p>
      )}
      {allowed_definition && (
        <Differences
          name={t("mcp.differences")}
          before={contentOf(allowed_definition)}
          after={contentOf(definition)}
        />
      )}
      <details>
        <summary className="inline-flex min-h-target cursor-pointer items-center text-sm underline">{t("mcp.definition")}</summary>
        <ExactValue value={contentOf(definition)} />
      </details>
    </>
  );
}

interface ToolProps {
  tool: McpTool;
  choice: Choice;
  onChoose: (choice: Choice) => void;
}

function Tool({ tool, choice, onChoose }: ToolProps) {
  const { t } = useI18n();
  const name = visibleText(tool.name);
  const isCallable = Boolean(tool.callable_as) && Boolean(tool.definition);
  return (
    <li>
      <fieldset className="flex min-w-0 flex-col gap-1 rounded-md border border-line p-3">
        <legend className="px-1 font-semibold [overflow-wrap:anywhere]">{name}</legend>
        <div className="flex flex-wrap items-center gap-x-3">
          <Badge tone={TONES[tool.state]}>{t(`mcp.state.${tool.state}`)}</Badge>
          {!tool.callable_as && <span className="text-sm text-quiet">{t("mcp.notCallable")}</span>}
        </div>
        <Definition tool={tool} />
        <div className="flex flex-wrap items-end gap-x-4">
          <Checkbox
            label={t("mcp.allow")}
            disabled={!isCallable && !choice.allow}
            checked={choice.allow}
            onChange={(event) => onChoose({ ...choice, allow: event.target.checked })}
          />
          <Checkbox
            label={t("mcp.write")}
            checked={choice.write}
            onChange={(event) => onChoose({ ...choice, write: event.target.checked })}
          />
          <Field label={t("mcp.resultClass")}>
            {(ids) => (
              <Select
                {...ids}
                value={choice.classification}
                onChange={(event) => onChoose({ ...choice, classification: event.target.value })}
              >
                {CLASSES.map((one) => (
                  <option key={one} value={one}>
                    {t(`class.${one}`)}
                  </option>
                ))}
              </Select>
            )}
          </Field>
        </div>
      </fieldset>
    </li>
  );
}

interface DecideProps {
  server: McpServer;
  onReadAgain: () => void;
  onSaved: () => void;
}

function Decide({ server, onReadAgain, onSaved }: DecideProps) {
  const { t } = useI18n();
  const [choices, setChoices] = useState<Choices>({});
  const save = useMutation({
    mutationFn: () => mcpServers.decide(server.id, decisionsOf(server.tools, choices)),
    onSuccess: onSaved,
  });
  const mustReadAgain = save.error instanceof ApiError && save.error.status === 409;
  return (
    <div className="flex flex-col gap-3">
      {server.reachable === false && (
        <Notice tone="warning">
          {t("mcp.unreachable")} {visibleText(server.detail ?? "")}
        </Notice>
      )}
      {server.tools.length === 0 && <Empty>{t("mcp.noTools")}</Empty>}
      <ul aria-label={t("mcp.tools")} className="flex flex-col gap-3">
        {server.tools.map((tool) => (
          <Tool
            key={tool.name}
            tool={tool}
            choice={choices[tool.name] ?? firstChoice(tool)}
            onChoose={(choice) => setChoices({ ...choices, [tool.name]: choice })}
          />
        ))}
      </ul>
      {save.isError && (
        <Notice action={mustReadAgain && <Button onClick={onReadAgain}>{t("mcp.readAgain")}</Button>}>
          {visibleText(save.error.message)}
        </Notice>
      )}
      {server.tools.length > 0 && (
        <Button variant="primary" className="self-end" disabled={save.isPending} onClick={() => save.mutate()}>
          {t("save")}
        </Button>
      )}
    </div>
  );
}

interface ToolsDialogProps {
  server: McpServer;
  onSaved: () => void;
  onClose: () => void;
}

export function ToolsDialog({ server: { id, name }, onSaved, onClose }: ToolsDialogProps) {
  const { t } = useI18n();
  // Not a query, which loads anew by itself: what is decided on is what was read.
  const { mutate: read, data, error, submittedAt } = useMutation({ mutationFn: () => mcpServers.get(id) });
  useEffect(() => read(), [read]);
  return (
    <Dialog open onClose={onClose} title={t("mcp.toolsOf", { name })} description={t("mcp.toolsHint")}>
      {error && <LoadError error={error} retry={() => read()} />}
      {!data && !error && <Spinner label={t("mcp.asking")} />}
      {data && <Decide key={submittedAt} server={data} onReadAgain={() => read()} onSaved={onSaved} />}
    </Dialog>
  );
}
