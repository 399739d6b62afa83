//! A transaction that is limited to one tenant: the only source of repositories.
//!
//! Each repository is a trait implemented on [`PgTenantTx`], in its own file. When a transaction begins, it sets the
//! tenant and the user as transaction-local settings, which the row-level security policies read. A statement
//! without a tenant condition therefore still returns only rows of the current tenant.

use crate::deferred::DeferredRows;
use crate::error::store_error;
use crate::pool::Database;
use crate::statement::{Statement, statements, transaction_span};
use async_trait::async_trait;
use domain::ports::{
    AccessTokenRepo, AgentRepo, ApprovalRepo, AuditRepo, ChannelRepo, ChunkRepo, ConnectorRepo, ConversationRepo,
    DocumentRepo, FeedbackRepo, GlossaryRepo, GoalRepo, IdempotencyRepo, JobRepo, MaintenanceSystemRepo, McpServerRepo,
    MemoryRepo, MessageRepo, PlantModeRepo, PlantRequestRepo, SessionRepo, Store, StoreError, TeamRepo, TenantTx,
    UsageRepo, UserRepo, WorkOrderRepo,
};
use domain::scope::TenantScope;
use sqlx::{PgConnection, Postgres, Transaction};
use std::mem;
use tracing::Instrument as _;

statements! {
    PING: () = Statement::call("", "pinging the database", "SELECT 1");
    FORCE_CUSTOM_PLANS: () = Statement::call(
        "set_config",
        "forcing custom plans",
        "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)",
    );
}

/// The [`Store`] implementation for PostgreSQL. Connects as the application's role.
#[derive(Clone, Debug)]
pub struct PgStore {
    database: Database,
}

impl PgStore {
    /// Creates a store from a connection pool of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Store for PgStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        let transaction = self.database.begin(scope.into()).await?;
        Ok(Box::new(PgTenantTx {
            transaction,
            scope: scope.clone(),
            uses_custom_plans: false,
            deferred: DeferredRows::default(),
        }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("pinging the database").await?;
        PING.query().execute(&mut connection).await
    }
}

/// A transaction of one tenant. Dropping it without a commit rolls it back.
pub(crate) struct PgTenantTx {
    transaction: Transaction<'static, Postgres>,
    scope: TenantScope,
    /// Whether `plan_cache_mode` has been set to `force_custom_plan` for the rest of the transaction.
    uses_custom_plans: bool,
    /// Rows of the audit log and the ledger, inserted by the commit.
    deferred: DeferredRows,
}

impl PgTenantTx {
    /// The connection on which the transaction runs.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The connection for a statement on passages or their terms, or one that cascades to them through a foreign key.
    /// For the rest of the transaction, statements are planned with the bound values: only then can the planner prune
    /// all partitions but the tenant's, and use a partial index of one embedding model. A cached plan would lock every
    /// tenant's partition. All other statements keep cached plans, since planning them costs more than running them.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn custom_plan_connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if !self.uses_custom_plans {
            FORCE_CUSTOM_PLANS.query().execute(self.connection()).await?;
            self.uses_custom_plans = true;
        }
        Ok(self.connection())
    }

    /// Records that a statement has set `plan_cache_mode` to `force_custom_plan`.
    pub(crate) fn set_uses_custom_plans(&mut self) {
        self.uses_custom_plans = true;
    }

    /// Inserts the collected rows if there are model calls among them. A statement that reads the ledger needs it.
    pub(crate) async fn insert_deferred_calls(&mut self) -> Result<(), StoreError> {
        if self.deferred.has_calls() { self.insert_deferred().await } else { Ok(()) }
    }

    async fn insert_deferred(&mut self) -> Result<(), StoreError> {
        let deferred = mem::take(&mut self.deferred);
        deferred.insert(&mut self.transaction, &self.scope).await
    }

    /// The rows that the commit inserts.
    pub(crate) fn deferred(&mut self) -> &mut DeferredRows {
        &mut self.deferred
    }

    /// The tenant, user and request for which the transaction runs.
    pub(crate) fn scope(&self) -> &TenantScope {
        &self.scope
    }
}

#[async_trait]
impl TenantTx for PgTenantTx {
    fn conversations(&mut self) -> &mut dyn ConversationRepo {
        self
    }
    fn messages(&mut self) -> &mut dyn MessageRepo {
        self
    }
    fn feedback(&mut self) -> &mut dyn FeedbackRepo {
        self
    }
    fn documents(&mut self) -> &mut dyn DocumentRepo {
        self
    }
    fn chunks(&mut self) -> &mut dyn ChunkRepo {
        self
    }
    fn memories(&mut self) -> &mut dyn MemoryRepo {
        self
    }
    fn audit(&mut self) -> &mut dyn AuditRepo {
        self
    }
    fn users(&mut self) -> &mut dyn UserRepo {
        self
    }
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo {
        self
    }
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo {
        self
    }
    fn sessions(&mut self) -> &mut dyn SessionRepo {
        self
    }
    fn jobs(&mut self) -> &mut dyn JobRepo {
        self
    }
    fn approvals(&mut self) -> &mut dyn ApprovalRepo {
        self
    }
    fn work_orders(&mut self) -> &mut dyn WorkOrderRepo {
        self
    }
    fn maintenance_system(&mut self) -> &mut dyn MaintenanceSystemRepo {
        self
    }
    fn plant_mode(&mut self) -> &mut dyn PlantModeRepo {
        self
    }
    fn channels(&mut self) -> &mut dyn ChannelRepo {
        self
    }
    fn mcp_servers(&mut self) -> &mut dyn McpServerRepo {
        self
    }
    fn connectors(&mut self) -> &mut dyn ConnectorRepo {
        self
    }
    fn glossary(&mut self) -> &mut dyn GlossaryRepo {
        self
    }
    fn plant_requests(&mut self) -> &mut dyn PlantRequestRepo {
        self
    }
    fn teams(&mut self) -> &mut dyn TeamRepo {
        self
    }
    fn agents(&mut self) -> &mut dyn AgentRepo {
        self
    }
    fn goals(&mut self) -> &mut dyn GoalRepo {
        self
    }
    fn usage(&mut self) -> &mut dyn UsageRepo {
        self
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.insert_deferred().await?;
        self.transaction.commit().instrument(transaction_span("COMMIT")).await.map_err(store_error("committing"))
    }
}
