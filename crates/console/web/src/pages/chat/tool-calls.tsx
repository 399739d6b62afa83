import { Check, CircleAlert, LoaderCircle } from "lucide-react";
import { useI18n } from "@/i18n";
import type { MessageKey } from "@/i18n";
import type { ToolCall } from "./live-runs";

const NAMES: Record<string, MessageKey> = {
  rag_search: "tool.rag_search",
  document_read: "tool.document_read",
  document_list: "tool.document_list",
  memory_read: "tool.memory_read",
  plant_tag_search: "tool.plant_tag_search",
  plant_system_read: "tool.plant_system_read",
  plant_history_read: "tool.plant_history_read",
};

function Picture({ status }: { status: string }) {
  if (status === "running") return <LoaderCircle className="size-4 animate-spin" aria-hidden />;
  if (status === "success") return <Check className="size-4" aria-hidden />;
  return <CircleAlert className="size-4 text-warning" aria-hidden />;
}

/** What the assistant looks up for an answer. */
export function ToolCalls({ calls }: { calls: readonly ToolCall[] }) {
  const { t } = useI18n();
  if (calls.length === 0) return null;
  return (
    <ul className="flex flex-col gap-1 text-sm text-quiet" aria-label={t("toolCalls")}>
      {calls.map(({ id, name, query, status }) => (
        <li key={id} className="flex items-start gap-2">
          <span className="mt-0.5">
            <Picture status={status} />
          </span>
          <span className="[overflow-wrap:anywhere]">
            {NAMES[name] ? t(NAMES[name]) : name}
            {query && <>: “{query}”</>}
            {status !== "running" && status !== "success" && <> ({t("toolFailed")})</>}
          </span>
        </li>
      ))}
    </ul>
  );
}
