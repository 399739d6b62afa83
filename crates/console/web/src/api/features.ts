import { settings } from "@/settings";

/** Parts of the platform that not every version has, with their resource in the API. */
const RESOURCES = {
  approvals: "approvals",
  agents: "agents",
  goals: "goals",
  teams: "teams",
  sessions: "sessions",
  tokens: "tokens",
  tenants: "admin/tenants",
  ownAgents: "admin/agents",
  models: "admin/models",
  feedback: "admin/feedback",
  channels: "admin/channels",
  connectors: "admin/connectors",
  mcpServers: "admin/mcp-servers",
  maintenance: "admin/maintenance-system",
  plantMode: "admin/plant-mode",
  workOrders: "work-orders",
} as const;

export type Feature = keyof typeof RESOURCES;

/** Whether this server has it. */
export function hasFeature(feature: Feature, resources: readonly string[] = settings.resources): boolean {
  return resources.includes(RESOURCES[feature]);
}
