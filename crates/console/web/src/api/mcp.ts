// Administration of MCP servers. Written by hand, in the shape of the API.

import { type Listing, json, page } from "./plant";

/** `changed` tools are off until somebody decides on their definition again. */
export type McpToolState = "new" | "allowed" | "changed" | "missing";

/** What a server says of a tool. Its texts are the server's. */
export interface ToolDefinition {
  title?: string | null;
  description?: string | null;
  input_schema: object;
  output_schema?: object | null;
  annotations?: object | null;
  digest: string;
}

export interface McpTool {
  name: string;
  /** Null if it cannot be allowed. */
  callable_as?: string | null;
  allow: boolean;
  write: boolean;
  classification: string;
  state: McpToolState;
  definition?: ToolDefinition | null;
  /** The definition that was allowed, if another one was seen since. */
  allowed_definition?: ToolDefinition | null;
}

export interface McpServer {
  id: string;
  name: string;
  url: string;
  auth?: { type: string } | null;
  tools: McpTool[];
  /** Null if the server was not asked. */
  reachable?: boolean | null;
  detail?: string | null;
}

export interface NewMcpServer {
  name: string;
  url: string;
  auth?: { type: "bearer"; token: string };
}

/** A decision on a tool; with a digest, it covers the definition of that digest only. */
export interface ToolDecision {
  name: string;
  allow: boolean;
  write: boolean;
  classification: string;
  digest?: string;
}

const SERVERS = "/v1/admin/mcp-servers";

export const mcpServers = {
  list: (cursor?: string) => json<Listing<McpServer>>(page(SERVERS, cursor), "GET"),
  /** Asks the server for its tools. */
  get: (id: string) => json<McpServer>(`${SERVERS}/${id}`, "GET"),
  create: (server: NewMcpServer) => json<McpServer>(SERVERS, "POST", server),
  /** Decides on all tools; one that is not named is not allowed. */
  decide: (id: string, tools: ToolDecision[]) => json<McpServer>(`${SERVERS}/${id}`, "PATCH", { tools }),
  remove: (id: string) => json<undefined>(`${SERVERS}/${id}`, "DELETE"),
};
