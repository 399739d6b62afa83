//! The audit log: the application's role appends rows, the auditor's role reads them.
//!
//! The submodules protect the log against tampering: [`maintenance`] adds rows to a hash chain per tenant,
//! [`signature`] signs checkpoints of the chain, [`verify`] and [`chain_verifier`] check it, [`export`] exports it, and
//! [`mod@purge`] deletes rows past their retention period.

mod chain_rows;
mod chain_verifier;
pub(crate) mod export;
pub(crate) mod liveness_lock;
pub(crate) mod maintenance;
pub(crate) mod purge;
mod signature;
pub(crate) mod verify;

pub use chain_verifier::{ChainEntry, ChainReport, ChainVerifier, Finding};
pub use export::AuditExport;
pub use liveness_lock::LivenessLock;
pub use maintenance::{AuditMaintenance, ChainHead};
pub use purge::{PurgeError, purge};
pub use signature::{InvalidKey, SigningKey, TrustedKeys};
pub use verify::AuditVerifier;

use crate::deferred::NewAuditRow;
use crate::error::store_error;
use crate::pool::Database;
use crate::replica::ReadReplica;
use crate::rows::KeysetParams;
use crate::statement::{DbRole, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use chain_rows::RecordedIds;
use domain::audit::chain::{ChainPage, RowFormatVersion};
use domain::audit::{AuditFilter, AuditRecord, AuditedOperation, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::ids::{AuditId, ConversationId, RequestId, SessionId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AuditReader, AuditRepo, StoreError};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

row! {
    struct AuditRow {
        id: Uuid,
        tenant_id: Uuid,
        user_id: Option<Uuid>,
        format_version: i16,
        session_id: Option<Uuid>,
        conversation_id: Option<Uuid>,
        event_type: String,
        resource_type: Option<String>,
        resource_id: Option<Uuid>,
        model: Option<String>,
        tools_used: Vec<String>,
        request_hash: Option<String>,
        result_status: Option<String>,
        latency_ms: Option<i32>,
        correlation_id: Uuid,
        request_id: Option<String>,
        phase: String,
        metadata: Value,
        created_at: Timestamp,
    }
}

/// The columns of an [`AuditRow`].
macro_rules! audit_columns {
    () => {
        "id, tenant_id, user_id, layout AS format_version, session_id, conversation_id, event_type, resource_type,
         resource_id, model, tools_used, request_hash, result_status, latency_ms, correlation_id, request_id, phase,
         metadata, created_at"
    };
}

statements! {
    LIST: AuditRow = Statement::select(
        "audit_logs",
        "reading the audit log",
        concat!(
            "SELECT ",
            audit_columns!(),
            " FROM audit_logs
             WHERE ($4::text IS NULL OR event_type = $4)
               AND ($5::uuid IS NULL OR user_id = $5)
               AND ($6::uuid IS NULL OR resource_id = $6)
               AND created_at >= coalesce($7::timestamptz, '-infinity')
               AND created_at < coalesce($8::timestamptz, 'infinity')
               AND ($9::text IS NULL OR result_status = $9)
               AND ($10::uuid IS NULL OR CASE layout WHEN 1 THEN session_id ELSE conversation_id END = $10)
               AND ($11::uuid IS NULL OR correlation_id = $11)
               AND ($12::text IS NULL OR request_id = $12)
               AND ($13::uuid IS NULL OR (session_id = $13 AND layout > 1))
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    )
    .run_by(DbRole::Auditor);
    GET: AuditRow = Statement::select(
        "audit_logs",
        "reading a row of the audit log",
        concat!("SELECT ", audit_columns!(), " FROM audit_logs WHERE tenant_id = app_tenant() AND id = $1"),
    )
    .run_by(DbRole::Auditor);
}

/// The columns of a new row that are not taken from the [`AuditedOperation`].
struct RowColumns<'a> {
    id: AuditId,
    phase: &'static str,
    result_status: ResultStatus,
    model: Option<&'a str>,
    tools_used: &'a [String],
    latency_ms: Option<i32>,
    correlation_id: Uuid,
    created_at: Timestamp,
}

#[async_trait]
impl AuditRepo for PgTenantTx {
    async fn record_intent(
        &mut self,
        id: AuditId,
        operation: &AuditedOperation,
        now: Timestamp,
    ) -> Result<AuditReceipt, StoreError> {
        let columns = RowColumns {
            id,
            phase: "intent",
            result_status: ResultStatus::Pending,
            model: None,
            tools_used: &[],
            latency_ms: None,
            correlation_id: id.as_uuid(),
            created_at: now,
        };
        self.deferred().push_audit(audit_row(&columns, operation));
        #[expect(
            clippy::disallowed_methods,
            reason = "the commit inserts the row: only this place may mint the receipt"
        )]
        Ok(AuditReceipt::mint(id, now))
    }

    async fn record_outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let elapsed = (now - receipt.recorded_at()).num_milliseconds();
        let columns = RowColumns {
            id,
            phase: "outcome",
            result_status: outcome.status,
            model: outcome.model.as_deref(),
            tools_used: &outcome.tools_used,
            latency_ms: Some(i32::try_from(elapsed).unwrap_or(i32::MAX)),
            correlation_id: receipt.intent_id().as_uuid(),
            created_at: now,
        };
        self.deferred().push_audit(audit_row(&columns, &outcome.operation));
        Ok(())
    }

    async fn record_event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let columns = RowColumns {
            id,
            phase: "event",
            result_status: outcome.status,
            model: outcome.model.as_deref(),
            tools_used: &outcome.tools_used,
            latency_ms: None,
            correlation_id: id.as_uuid(),
            created_at: now,
        };
        self.deferred().push_audit(audit_row(&columns, &outcome.operation));
        Ok(())
    }

    async fn record_correlated_event(
        &mut self,
        id: AuditId,
        correlation: Uuid,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let columns = RowColumns {
            id,
            phase: "event",
            result_status: outcome.status,
            model: outcome.model.as_deref(),
            tools_used: &outcome.tools_used,
            latency_ms: None,
            correlation_id: correlation,
            created_at: now,
        };
        self.deferred().push_audit(audit_row(&columns, &outcome.operation));
        Ok(())
    }
}

fn audit_row(columns: &RowColumns<'_>, operation: &AuditedOperation) -> NewAuditRow {
    NewAuditRow {
        id: columns.id.as_uuid(),
        event_type: operation.event.as_str(),
        resource_type: operation.resource.map(|resource| resource.as_str()),
        resource_id: operation.resource_id,
        model: columns.model.map(str::to_owned),
        tools_used: columns.tools_used.to_vec(),
        request_hash: operation.request_hash.clone(),
        result_status: columns.result_status.as_str(),
        latency_ms: columns.latency_ms,
        metadata: operation.metadata.clone(),
        created_at: columns.created_at,
        correlation_id: columns.correlation_id,
        phase: columns.phase,
        conversation_id: operation.conversation_id.map(|id| id.as_uuid()),
    }
}

/// The [`AuditReader`] implementation for PostgreSQL. Connects as the auditor's role, which can only
/// read the audit log and its chain.
#[derive(Clone, Debug)]
pub struct PgAuditReader {
    database: Database,
    replica: Option<ReadReplica>,
}

impl PgAuditReader {
    /// Creates a reader from a connection pool of the auditor's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, replica: None }
    }

    /// Reads from the replica, which is also connected to with the auditor's role, while it keeps up with the primary.
    #[must_use]
    pub fn with_replica(self, replica: Option<ReadReplica>) -> Self {
        Self { replica, ..self }
    }

    /// Runs `read` on the replica if it has caught up, and on the primary if it has not or fails.
    async fn read_from<T, F>(&self, read: impl Fn(Database) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if let Some(replica) = &self.replica
            && let Some(database) = replica.caught_up(&self.database).await
        {
            match read(database.clone()).await {
                Err(StoreError::Unavailable { .. }) => replica.pause(),
                ended => return ended,
            }
        }
        read(self.database.clone()).await
    }
}

#[async_trait]
impl AuditReader for PgAuditReader {
    async fn read(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        self.read_from(|database| list(database, scope, filter, page)).await
    }

    async fn chain_page(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<ChainPage, StoreError> {
        let tenant = scope.tenant().as_uuid();
        self.read_from(|database| async move { export::page(&database, tenant, after, limit).await }).await
    }

    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
        self.read_from(|database| find(database, scope, id)).await
    }
}

async fn list(
    database: Database,
    scope: &TenantScope,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditRecord>, StoreError> {
    let mut transaction = database.begin(scope.into()).await?;
    let keyset = KeysetParams::new(page);
    let rows = LIST
        .query()
        .bind(keyset.created_at)
        .bind(keyset.id)
        .bind(keyset.limit)
        .bind(&filter.event_type)
        .bind(filter.user_id.map(|id| id.as_uuid()))
        .bind(filter.resource_id)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.result_status.map(ResultStatus::as_str))
        .bind(filter.conversation_id.map(|id| id.as_uuid()))
        .bind(filter.correlation_id)
        .bind(&filter.request_id)
        .bind(filter.session_id.map(|id| id.as_uuid()))
        .fetch_all(&mut transaction)
        .await?;
    transaction.commit().await.map_err(store_error("reading the audit log"))?;
    Ok(Page::from_rows(rows, page, |row: &AuditRecord| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
}

async fn find(database: Database, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
    let mut transaction = database.begin(scope.into()).await?;
    let record = GET.query().bind(id.as_uuid()).fetch_optional(&mut transaction).await?;
    transaction.commit().await.map_err(store_error("reading a row of the audit log"))?;
    Ok(record)
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        let ids = RecordedIds { session: row.session_id, conversation: row.conversation_id };
        let ids = ids.normalize_for_version(RowFormatVersion::from_number(row.format_version));
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            user_id: row.user_id.map(UserId::from_uuid),
            session_id: ids.session.map(SessionId::from_uuid),
            conversation_id: ids.conversation.map(ConversationId::from_uuid),
            event_type: row.event_type,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            model: row.model,
            tools_used: row.tools_used,
            request_hash: row.request_hash,
            result_status: row.result_status,
            latency_ms: row.latency_ms,
            correlation_id: row.correlation_id,
            request_id: row.request_id.as_deref().and_then(RequestId::parse),
            phase: row.phase,
            metadata: row.metadata,
            created_at: row.created_at,
        }
    }
}
