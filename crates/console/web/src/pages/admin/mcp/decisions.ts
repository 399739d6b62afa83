// What is decided on the tools of an MCP server.

import type { McpTool, ToolDecision, ToolDefinition } from "@/api/mcp";
import type { JsonValue } from "@/lib/merge-patch";

export type Choice = Pick<ToolDecision, "allow" | "write" | "classification">;

/** Choices by the tools' names, where they differ from what the tool has. */
export type Choices = Readonly<Record<string, Choice>>;

/** What is chosen at first. Saving must not allow a changed definition that nobody has looked at. */
export function firstChoice({ allow, write, classification, state }: McpTool): Choice {
  return { allow: allow && state !== "changed", write, classification };
}

/** The decisions on all tools, each on the definition that was shown. */
export function decisionsOf(tools: readonly McpTool[], choices: Choices): ToolDecision[] {
  return tools.map((tool) => ({
    name: tool.name,
    ...(choices[tool.name] ?? firstChoice(tool)),
    ...(tool.definition && { digest: tool.definition.digest }),
  }));
}

/** A definition without its digest, to be compared with another one. */
export function contentOf({ digest: _, ...content }: ToolDefinition): JsonValue {
  return content as unknown as JsonValue;
}
