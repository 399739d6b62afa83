//! MCP servers of a tenant. A server is stored with the decisions on its tools in one row, since they are read and
//! changed together.

use crate::rows::{KeysetParams, non_negative};
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{McpServerId, UserId};
use domain::mcp::{McpServer, McpServerName, McpTool};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{McpServerRepo, StoreError};
use domain::time::Timestamp;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Type};
use uuid::Uuid;

row! {
    struct McpServerRow, columns = mcp_server_columns {
        id: Uuid,
        name: ServerName,
        url: String,
        sealed_token: Option<Vec<u8>>,
        tools: Json<Vec<McpTool>>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

/// A text column that holds the name of a server.
struct ServerName(McpServerName);

impl Type<Postgres> for ServerName {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(column)
    }
}

impl Decode<'_, Postgres> for ServerName {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let name = McpServerName::parse(<&str as Decode<'_, Postgres>>::decode(value)?);
        Ok(Self(name?))
    }
}

statements! {
    INSERT: () = Statement::insert(
        "mcp_servers",
        "storing an MCP server",
        "INSERT INTO mcp_servers
             (id, tenant_id, name, url, sealed_token, tools, has_allowed, updated_by, created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    GET: McpServerRow = Statement::select(
        "mcp_servers",
        "reading an MCP server",
        concat!("SELECT ", mcp_server_columns!(), " FROM mcp_servers WHERE id = $1"),
    );
    LOCK: McpServerRow = Statement::select(
        "mcp_servers",
        "locking an MCP server",
        concat!("SELECT ", mcp_server_columns!(), " FROM mcp_servers WHERE id = $1 FOR UPDATE"),
    );
    BY_NAME: McpServerRow = Statement::select(
        "mcp_servers",
        "reading an MCP server",
        concat!("SELECT ", mcp_server_columns!(), " FROM mcp_servers WHERE name = $1"),
    );
    LIST: McpServerRow = Statement::select(
        "mcp_servers",
        "listing MCP servers",
        concat!(
            "SELECT ",
            mcp_server_columns!(),
            " FROM mcp_servers
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    WITH_ALLOWED_TOOLS: McpServerRow = Statement::select(
        "mcp_servers",
        "reading the allowed tools of MCP servers",
        concat!("SELECT ", mcp_server_columns!(), " FROM mcp_servers WHERE has_allowed ORDER BY name"),
    );
    COUNT: Scalar<i64> = Statement::select(
        "mcp_servers",
        "counting MCP servers",
        "SELECT count(*) FROM mcp_servers",
    );
    UPDATE: () = Statement::update(
        "mcp_servers",
        "changing an MCP server",
        "UPDATE mcp_servers
         SET url = $2, sealed_token = $3, tools = $4, has_allowed = $5, updated_by = $6, updated_at = $7
         WHERE id = $1",
    );
    RECORD_OBSERVATION: () = Statement::update(
        "mcp_servers",
        "storing what was seen of an MCP server's tools",
        "UPDATE mcp_servers SET tools = $2 WHERE id = $1",
    );
    DELETE: () = Statement::delete(
        "mcp_servers",
        "deleting an MCP server",
        "DELETE FROM mcp_servers WHERE id = $1",
    );
}

#[async_trait]
impl McpServerRepo for PgTenantTx {
    async fn insert(&mut self, server: &McpServer, by: Option<UserId>) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(server.id.as_uuid())
            .bind(server.name.as_str())
            .bind(&server.url)
            .bind(&server.sealed_token)
            .bind(Json(&server.tools))
            .bind(has_allowed_tools(server))
            .bind(by.map(|by| by.as_uuid()))
            .bind(server.created_at)
            .bind(server.updated_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn lock(&mut self, id: McpServerId) -> Result<Option<McpServer>, StoreError> {
        LOCK.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn by_name(&mut self, name: &str) -> Result<Option<McpServer>, StoreError> {
        BY_NAME.query().bind(name).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<McpServer>, StoreError> {
        let keyset = KeysetParams::new(page);
        let list = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = list.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &McpServer| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn with_allowed_tools(&mut self) -> Result<Vec<McpServer>, StoreError> {
        WITH_ALLOWED_TOOLS.query().fetch_all(self.connection()).await
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        COUNT.query().scalar(self.connection()).await.map(non_negative)
    }

    async fn update(&mut self, server: &McpServer, by: Option<UserId>) -> Result<bool, StoreError> {
        let update = UPDATE
            .query()
            .bind(server.id.as_uuid())
            .bind(&server.url)
            .bind(&server.sealed_token)
            .bind(Json(&server.tools))
            .bind(has_allowed_tools(server))
            .bind(by.map(|by| by.as_uuid()))
            .bind(server.updated_at);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn save_tools(&mut self, server: &McpServer) -> Result<(), StoreError> {
        let record = RECORD_OBSERVATION.query().bind(server.id.as_uuid()).bind(Json(&server.tools));
        record.execute(self.connection()).await
    }

    async fn delete(&mut self, id: McpServerId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }
}

fn has_allowed_tools(server: &McpServer) -> bool {
    server.tools.iter().any(|tool| tool.rule.allow)
}

impl From<McpServerRow> for McpServer {
    fn from(row: McpServerRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name.0,
            url: row.url,
            sealed_token: row.sealed_token,
            tools: row.tools.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
