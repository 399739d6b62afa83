//! Agents that administrators added to a tenant.

use crate::rows::TextEnum;
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::agent::{AgentSpec, TenantAgent};
use domain::model::TierChoice;
use domain::ports::{AgentRepo, StoreError};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    struct AgentRow, columns = agent_columns {
        name: String,
        description: String,
        instructions: String,
        tools: Vec<String>,
        model: TextEnum<TierChoice>,
        updated_by: Option<Uuid>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

statements! {
    INSERT: () = Statement::insert(
        "agents",
        "storing an agent",
        "INSERT INTO agents (tenant_id, name, description, instructions, tools, model, updated_by, created_at,
         updated_at)
         VALUES (app_tenant(), $1, $2, $3, $4, $5, $6, $7, $8)",
    );
    UPDATE: () = Statement::update(
        "agents",
        "changing an agent",
        "UPDATE agents SET description = $2, instructions = $3, tools = $4, model = $5, updated_by = $6, updated_at = $7
         WHERE name = $1",
    );
    DELETE: () = Statement::delete("agents", "deleting an agent", "DELETE FROM agents WHERE name = $1");
    LIST: AgentRow = Statement::select(
        "agents",
        "listing agents",
        concat!("SELECT ", agent_columns!(), " FROM agents ORDER BY name"),
    );
}

#[async_trait]
impl AgentRepo for PgTenantTx {
    async fn insert(&mut self, agent: &TenantAgent) -> Result<(), StoreError> {
        let TenantAgent { spec, updated_by, created_at, updated_at } = agent;
        INSERT
            .query()
            .bind(&spec.name)
            .bind(&spec.description)
            .bind(&spec.instructions)
            .bind(&spec.tools)
            .bind(spec.model.as_str())
            .bind(updated_by.map(|user| user.as_uuid()))
            .bind(*created_at)
            .bind(*updated_at)
            .execute(self.connection())
            .await
    }

    async fn update(&mut self, agent: &TenantAgent) -> Result<bool, StoreError> {
        let TenantAgent { spec, updated_by, updated_at, .. } = agent;
        let update = UPDATE
            .query()
            .bind(&spec.name)
            .bind(&spec.description)
            .bind(&spec.instructions)
            .bind(&spec.tools)
            .bind(spec.model.as_str())
            .bind(updated_by.map(|user| user.as_uuid()))
            .bind(*updated_at);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn delete(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(name).rows_affected(self.connection()).await? > 0)
    }

    async fn list(&mut self) -> Result<Vec<TenantAgent>, StoreError> {
        LIST.query().fetch_all(self.connection()).await
    }
}

impl From<AgentRow> for TenantAgent {
    fn from(row: AgentRow) -> Self {
        let spec = AgentSpec {
            name: row.name,
            description: row.description,
            instructions: row.instructions,
            tools: row.tools,
            model: row.model.0,
            required_tool: None,
            is_builtin: false,
        };
        Self {
            spec,
            updated_by: row.updated_by.map(Into::into),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
