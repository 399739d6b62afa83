//! The in-memory repository of MCP servers.

use super::{InMemoryTx, Row, page_of};
use async_trait::async_trait;
use domain::ids::{McpServerId, UserId};
use domain::mcp::McpServer;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{McpServerRepo, StoreError};

impl InMemoryTx {
    async fn mcp_server(&mut self, id: McpServerId) -> Result<Option<&mut McpServer>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.mcp_servers;
        Ok(rows.iter_mut().find(|row| in_tenant(row) && row.value.id == id).map(|row| &mut row.value))
    }

    fn find_mcp_server(&self, is_wanted: impl Fn(&McpServer) -> bool) -> Option<McpServer> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<McpServer>| in_tenant(row) && is_wanted(&row.value);
        self.read(|s| s.mcp_servers.iter().find(is_wanted).map(|row| row.value.clone()))
    }

    fn mcp_servers_of_tenant(&self) -> Vec<McpServer> {
        let in_tenant = self.tenant_filter();
        self.read(|s| s.mcp_servers.iter().filter(|row| in_tenant(row)).map(|row| row.value.clone()).collect())
    }
}

#[async_trait]
impl McpServerRepo for InMemoryTx {
    async fn insert(&mut self, server: &McpServer, _by: Option<UserId>) -> Result<(), StoreError> {
        let tenant = self.tenant();
        if self.find_mcp_server(|other| other.name == server.name).is_some() {
            return Err(StoreError::Conflict { reason: "An MCP server with this name already exists." });
        }
        self.write().await?.mcp_servers.push(Row { tenant, user: None, value: server.clone() });
        Ok(())
    }

    async fn get(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError> {
        Ok(self.find_mcp_server(|server| server.id == id))
    }

    async fn lock(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError> {
        Ok(self.mcp_server(id).await?.cloned())
    }

    async fn by_name(&mut self, name: &str) -> Result<Option<McpServer>, StoreError> {
        Ok(self.find_mcp_server(|server| server.name.as_str() == name))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<McpServer>, StoreError> {
        let rows = self.mcp_servers_of_tenant();
        Ok(page_of(rows, page, |row: &McpServer| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn with_allowed_tools(&mut self) -> Result<Vec<McpServer>, StoreError> {
        let mut servers = self.mcp_servers_of_tenant();
        servers.retain(|server| server.tools.iter().any(|tool| tool.rule.allow));
        servers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(servers)
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        Ok(self.mcp_servers_of_tenant().len() as u64)
    }

    async fn update(&mut self, server: &McpServer, _by: Option<UserId>) -> Result<bool, StoreError> {
        let Some(stored) = self.mcp_server(server.id).await? else { return Ok(false) };
        *stored = McpServer { name: stored.name.clone(), created_at: stored.created_at, ..server.clone() };
        Ok(true)
    }

    async fn save_tools(&mut self, server: &McpServer) -> Result<(), StoreError> {
        if let Some(stored) = self.mcp_server(server.id).await? {
            stored.tools.clone_from(&server.tools);
        }
        Ok(())
    }

    async fn delete(&mut self, id: McpServerId) -> Result<bool, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = &mut self.write().await?.mcp_servers;
        let count = rows.len();
        rows.retain(|row| !(in_tenant(row) && row.value.id == id));
        Ok(rows.len() < count)
    }
}
