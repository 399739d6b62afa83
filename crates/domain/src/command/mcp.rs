//! Commands on MCP servers.

use super::command;
use crate::audit::Change;
use crate::ids::McpServerId;
use crate::mcp::{InspectedServer, McpServer, McpServerName, McpToken, ToolDecision};
use crate::page::{Page, PageRequest};
use serde::Serialize;
use serde_json::json;

/// List the tenant's MCP servers, as they were last seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMcpServers {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMcpServers: List McpServers as "admin.mcp_servers_listed" -> Page<McpServer>, transaction Shared);

/// Read an MCP server, and look at its tools now.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetMcpServer {
    /// The server; must belong to the caller's tenant.
    pub id: McpServerId,
}
command! {
    GetMcpServer: Read McpServers as "admin.mcp_server_read" -> InspectedServer,
    target McpServer(id),
    transaction Shared
}

/// Add an MCP server. Each tool that is allowed at once is allowed as the server defines it at that moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMcpServer {
    /// Name in front of its tools' names; unique in the tenant.
    pub name: McpServerName,
    /// Address of its streamable HTTP endpoint.
    pub url: String,
    /// Its bearer token; `None` if it needs none.
    #[serde(skip)]
    pub token: Option<McpToken>,
    /// The decisions on its tools.
    pub tools: Vec<ToolDecision>,
}
command! {
    CreateMcpServer: Create McpServers as "admin.mcp_server_created" -> InspectedServer,
    transaction Shared,
    id(created => created.server.id),
    outcome(created => json!({ "after": created.server.audit_metadata() }))
}

/// Change an MCP server. Fields that are `None` stay as they are.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateMcpServer {
    /// The server; must belong to the caller's tenant.
    pub id: McpServerId,
    /// The new address. Without a new token the old one is dropped, so that it never goes to another server, and all
    /// tools are off until they are decided on again.
    pub url: Option<String>,
    /// The new bearer token, or `None` inside for none.
    #[serde(skip)]
    pub token: Option<Option<McpToken>>,
    /// The decisions on all tools; they cover the definitions that were seen last, or at a new address, those that the
    /// server gives now. One with a digest covers that definition only.
    pub tools: Option<Vec<ToolDecision>>,
}
command! {
    UpdateMcpServer: Update McpServers as "admin.mcp_server_changed" -> Change<InspectedServer>,
    target McpServer(id),
    transaction Shared,
    outcome(change => json!({
        "before": change.before.server.audit_metadata(), "after": change.after.server.audit_metadata(),
    }))
}

/// Delete an MCP server.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteMcpServer {
    /// The server; must belong to the caller's tenant.
    pub id: McpServerId,
}
command! {
    DeleteMcpServer: Delete McpServers as "admin.mcp_server_deleted" -> McpServer,
    target McpServer(id),
    transaction Shared,
    outcome(deleted => json!({ "before": deleted.audit_metadata() }))
}
