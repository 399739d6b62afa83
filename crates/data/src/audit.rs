//! The audit log: the application's role appends rows, the auditor's role reads them.
//!
//! The submodules protect the log against tampering: [`maintenance`] adds rows to a hash chain per tenant,
//! [`signature`] signs checkpoints of the chain, [`verify`] and [`chain_verifier`] check it, [`export`] exports it, and
//! [`mod@purge`] deletes rows past their retention period.

pub(crate) mod export;
pub(crate) mod instance;
pub(crate) mod keep;
pub(crate) mod retire;
mod sealed_rows;
mod signature;
pub(crate) mod verify;
mod walk;

pub use export::AuditExport;
pub use instance::Instance;
pub use keep::{AuditKeeper, Head};
pub use retire::{RetireError, retire};
pub use signature::{InvalidKey, SigningKey, TrustedKeys};
pub use verify::AuditVerifier;
pub use walk::{ChainEntry, Finding, StreamReport, Walk};

use crate::error::failed;
use crate::pool::Database;
use crate::rows::KeysetStart;
use crate::statement::{Login, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::audit::sealed::SealedPage;
use domain::audit::{AuditFilter, AuditRecord, AuditSubject, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::ids::{AuditId, ConversationId, RequestId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AuditReader, AuditRepo, StoreError};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

row! {
    struct AuditRow, columns = audit_columns {
        id: Uuid,
        tenant_id: Uuid,
        user_id: Option<Uuid>,
        session_id: Option<Uuid>,
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

statements! {
    APPEND: () = Statement::insert(
        "audit_logs",
        "appending to the audit log",
        "INSERT INTO audit_logs
             (id, tenant_id, user_id, session_id, event_type, resource_type, resource_id, model, tools_used,
              request_hash, result_status, latency_ms, metadata, created_at, correlation_id, request_id, phase)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    );
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
               AND ($10::uuid IS NULL OR session_id = $10)
               AND ($11::uuid IS NULL OR correlation_id = $11)
               AND ($12::text IS NULL OR request_id = $12)
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    )
    .run_by(Login::Auditor);
    GET: AuditRow = Statement::select(
        "audit_logs",
        "reading a row of the audit log",
        concat!("SELECT ", audit_columns!(), " FROM audit_logs WHERE tenant_id = app_tenant() AND id = $1"),
    )
    .run_by(Login::Auditor);
}

/// The columns of a new row that are not taken from the [`AuditSubject`].
struct Entry<'a> {
    id: AuditId,
    phase: &'static str,
    event: &'static str,
    status: ResultStatus,
    model: Option<&'a str>,
    tools_used: &'a [String],
    latency_ms: Option<i32>,
    correlation: Uuid,
    at: Timestamp,
}

#[async_trait]
impl AuditRepo for PgTenantTx {
    async fn intent(
        &mut self,
        id: AuditId,
        subject: &AuditSubject,
        now: Timestamp,
    ) -> Result<AuditReceipt, StoreError> {
        let entry = Entry {
            id,
            phase: "intent",
            event: subject.event.as_str(),
            status: ResultStatus::Pending,
            model: None,
            tools_used: &[],
            latency_ms: None,
            correlation: id.as_uuid(),
            at: now,
        };
        append(self, &entry, subject).await?;
        #[expect(clippy::disallowed_methods, reason = "the row is inserted: only this place may mint the receipt")]
        Ok(AuditReceipt::mint(id, now))
    }

    async fn outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let elapsed = (now - receipt.at()).num_milliseconds();
        let entry = Entry {
            id,
            phase: "outcome",
            event: outcome.subject.event.as_str(),
            status: outcome.status,
            model: outcome.model.as_deref(),
            tools_used: &outcome.tools_used,
            latency_ms: Some(i32::try_from(elapsed).unwrap_or(i32::MAX)),
            correlation: receipt.intent().as_uuid(),
            at: now,
        };
        append(self, &entry, &outcome.subject).await
    }

    async fn event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let entry = Entry {
            id,
            phase: "event",
            event: outcome.subject.event.as_str(),
            status: outcome.status,
            model: outcome.model.as_deref(),
            tools_used: &outcome.tools_used,
            latency_ms: None,
            correlation: id.as_uuid(),
            at: now,
        };
        append(self, &entry, &outcome.subject).await
    }
}

async fn append(tx: &mut PgTenantTx, entry: &Entry<'_>, subject: &AuditSubject) -> Result<(), StoreError> {
    let user = tx.scope().user().map(|id| id.as_uuid());
    let request = tx.scope().request().as_str().to_owned();
    APPEND
        .query()
        .bind(entry.id.as_uuid())
        .bind(user)
        .bind(subject.session.map(|id| id.as_uuid()))
        .bind(entry.event)
        .bind(subject.resource.map(|resource| resource.as_str()))
        .bind(subject.resource_id)
        .bind(entry.model)
        .bind(entry.tools_used)
        .bind(&subject.request_hash)
        .bind(entry.status.as_str())
        .bind(entry.latency_ms)
        .bind(&subject.metadata)
        .bind(entry.at)
        .bind(entry.correlation)
        .bind(request)
        .bind(entry.phase)
        .execute(tx.connection())
        .await
}

/// Reads the audit log with the auditor's role, which has no other rights.
#[derive(Clone, Debug)]
pub struct PgAuditReader {
    database: Database,
}

impl PgAuditReader {
    /// Creates a reader from a connection pool of the auditor's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
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
        let mut transaction = self.database.begin(scope.into()).await?;
        let start = KeysetStart::of(page);
        let rows = LIST
            .query()
            .bind(start.at)
            .bind(start.id)
            .bind(start.fetch)
            .bind(&filter.event_type)
            .bind(filter.user_id.map(|id| id.as_uuid()))
            .bind(filter.resource_id)
            .bind(filter.from)
            .bind(filter.to)
            .bind(filter.result_status.map(ResultStatus::as_str))
            .bind(filter.session_id.map(|id| id.as_uuid()))
            .bind(filter.correlation_id)
            .bind(&filter.request_id)
            .fetch_all(&mut transaction)
            .await?;
        transaction.commit().await.map_err(failed("reading the audit log"))?;
        Ok(Page::from_rows(rows, page, |row: &AuditRecord| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn sealed(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
        export::page(&self.database, scope.tenant().as_uuid(), after, limit).await
    }

    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
        let mut transaction = self.database.begin(scope.into()).await?;
        let record = GET.query().bind(id.as_uuid()).fetch_optional(&mut transaction).await?;
        transaction.commit().await.map_err(failed("reading a row of the audit log"))?;
        Ok(record)
    }
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            user_id: row.user_id.map(UserId::from_uuid),
            session_id: row.session_id.map(ConversationId::from_uuid),
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
