//! The tools of a tenant's MCP servers, as the tool gateway finds them.

use super::connector::McpConnector;
use super::tool::McpToolAdapter;
use crate::registered_tool::{RegisteredTool, RegisteredWriteTool};
use domain::mcp::{McpServer, McpTool, McpToolName, McpToolState};
use domain::ports::{StoreError, TenantTx};
use domain::rights::Rights;
use domain::role::Classification;
use domain::tool::ToolSpec;
use std::sync::Arc;

/// The tools of MCP servers that administrators allow.
#[derive(Clone)]
pub struct McpTools {
    connector: Arc<McpConnector>,
}

impl McpTools {
    /// Tools that are called through `connector`.
    #[must_use]
    pub fn new(connector: Arc<McpConnector>) -> Self {
        Self { connector }
    }

    /// The manifest entries of the tools that these rights allow and whose results they may see, by name.
    pub(crate) async fn manifest(&self, tx: &mut dyn TenantTx, rights: &Rights) -> Result<Vec<ToolSpec>, StoreError> {
        let mut specs = Vec::new();
        for server in tx.mcp_servers().with_allowed_tools().await? {
            let server = Arc::new(server);
            for tool in server.tools.iter().filter(|tool| tool.state() == McpToolState::Allowed) {
                let is_within_clearance = tool.rule.classification <= rights.clearance();
                let spec = self.tool(&server, tool).and_then(|tool| tool.spec());
                specs.extend(spec.filter(|spec| is_within_clearance && rights.allows(spec.required_permission)));
            }
        }
        Ok(specs)
    }

    /// A tool that reads; `None` if there is none of this name, it is not allowed, or its results are classified above
    /// `clearance`.
    pub(crate) async fn find(
        &self,
        tx: &mut dyn TenantTx,
        name: &McpToolName,
        clearance: Classification,
    ) -> Result<Option<RegisteredTool>, StoreError> {
        let Some(tool) = self.find_allowed(tx, name).await? else { return Ok(None) };
        let is_within_clearance = tool.tool.rule.classification <= clearance;
        let spec = tool.spec().filter(|spec| is_within_clearance && !spec.writes_to_plant);
        Ok(spec.map(|spec| RegisteredTool { spec, tool: Box::new(tool) }))
    }

    /// A tool that writes; `None` if there is none of this name, or it is not allowed.
    pub(crate) async fn find_write(
        &self,
        tx: &mut dyn TenantTx,
        name: &McpToolName,
    ) -> Result<Option<RegisteredWriteTool>, StoreError> {
        let Some(tool) = self.find_allowed(tx, name).await? else { return Ok(None) };
        let spec = tool.write_spec();
        Ok(spec.map(|spec| RegisteredWriteTool { spec, tool: Box::new(tool) }))
    }

    /// A tool that is allowed, even if it has changed since: its call then fails with that reason.
    async fn find_allowed(
        &self,
        tx: &mut dyn TenantTx,
        name: &McpToolName,
    ) -> Result<Option<McpToolAdapter>, StoreError> {
        let Some(server) = tx.mcp_servers().by_name(name.server()).await? else { return Ok(None) };
        let server = Arc::new(server);
        let allowed = server.tool(name.tool()).filter(|tool| tool.rule.allow);
        Ok(allowed.and_then(|tool| self.tool(&server, tool)))
    }

    fn tool(&self, server: &Arc<McpServer>, tool: &McpTool) -> Option<McpToolAdapter> {
        let name = McpToolName::new(&server.name, &tool.rule.name)?;
        let (connector, server) = (Arc::clone(&self.connector), Arc::clone(server));
        Some(McpToolAdapter { connector, server, name, tool: tool.clone() })
    }
}
