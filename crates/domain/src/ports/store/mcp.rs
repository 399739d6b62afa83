//! Port to the MCP servers of a tenant.

use crate::ids::{McpServerId, UserId};
use crate::mcp::McpServer;
use crate::page::{Page, PageRequest};
use crate::store_error::StoreError;
use async_trait::async_trait;

/// MCP servers of the tenant, with the decisions on their tools.
#[async_trait]
pub trait McpServerRepo: Send {
    /// Inserts a server. [`StoreError::Conflict`] if the tenant has one of this name.
    async fn insert(&mut self, server: &McpServer, by: Option<UserId>) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist.
    async fn get(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError>;
    /// Like [`Self::get`], and locks the row until the transaction ends.
    async fn lock(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError>;
    /// The server with this name; `None` if there is none.
    async fn by_name(&mut self, name: &str) -> Result<Option<McpServer>, StoreError>;
    /// Lists the servers, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<McpServer>, StoreError>;
    /// All servers, by name, of which some tool is allowed.
    async fn with_allowed_tools(&mut self) -> Result<Vec<McpServer>, StoreError>;
    /// Number of servers.
    async fn count(&mut self) -> Result<u64, StoreError>;
    /// Stores address, token, tools and time of the change; `false` if the server does not exist.
    async fn update(&mut self, server: &McpServer, by: Option<UserId>) -> Result<bool, StoreError>;
    /// Stores the server's tools, in a server that [`Self::lock`] returned in this transaction.
    async fn save_tools(&mut self, server: &McpServer) -> Result<(), StoreError>;
    /// Deletes a server; `false` if it does not exist.
    async fn delete(&mut self, id: McpServerId) -> Result<bool, StoreError>;
}
