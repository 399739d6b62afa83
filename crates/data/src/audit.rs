//! The audit log: rows are appended as the application's role and read as the auditor's.
//!
//! Beside it: [`keep`] gives rows their place in a hash chain, [`verify`] and [`walk`] check it, [`signature`] signs it.

mod export;
mod instance;
mod keep;
mod retire;
mod sealed_rows;
mod signature;
mod verify;
mod walk;

pub use export::AuditExport;
pub use instance::Instance;
pub use keep::{AuditKeeper, Head};
pub use retire::{RetireError, retire};
pub use signature::{NoKey, SigningKey, TrustedKeys};
pub use verify::AuditVerifier;
pub use walk::{ChainEntry, Finding, StreamReport, Walk};

use crate::error::failed;
use crate::pool::Database;
use crate::rows::{Start, id};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::audit::sealed::SealedPage;
use domain::audit::{AuditFilter, AuditRecord, AuditSubject, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::ids::{AuditId, RequestId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AuditReader, AuditRepo, StoreError};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// What an inserted row says beside its subject.
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
        #[expect(clippy::disallowed_methods, reason = "the row is inserted: this is the one place that may say so")]
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
    sqlx::query(
        "INSERT INTO audit_logs
             (id, tenant_id, user_id, session_id, event_type, resource_type, resource_id, model, tools_used,
              request_hash, result_status, latency_ms, metadata, created_at, correlation_id, request_id, phase)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
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
    .map(drop)
    .map_err(failed("appending to the audit log"))
}

/// Reads the audit log as the auditor's role, which can do nothing else.
#[derive(Clone, Debug)]
pub struct PgAuditReader {
    database: Database,
}

impl PgAuditReader {
    /// A reader over connections of the auditor's role.
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
        let doing = "reading the audit log";
        let user = scope.user().map(|id| id.to_string()).unwrap_or_default();
        let mut transaction = self.database.begin(scope.tenant().to_string(), user).await?;
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT * FROM audit_logs
             WHERE ($4::text IS NULL OR event_type = $4)
               AND ($5::uuid IS NULL OR user_id = $5)
               AND ($6::uuid IS NULL OR resource_id = $6)
               AND created_at >= coalesce($7, '-infinity')
               AND created_at < coalesce($8, 'infinity')
               AND ($9::text IS NULL OR result_status = $9)
               AND ($10::uuid IS NULL OR session_id = $10)
               AND ($11::uuid IS NULL OR correlation_id = $11)
               AND ($12::text IS NULL OR request_id = $12)
               AND (created_at, id) < (coalesce($1, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
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
        .try_map(record)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn sealed(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
        export::page(&self.database, scope.tenant().as_uuid(), after, limit).await
    }

    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
        let doing = "reading a row of the audit log";
        let user = scope.user().map(|id| id.to_string()).unwrap_or_default();
        let mut transaction = self.database.begin(scope.tenant().to_string(), user).await?;
        let row = sqlx::query("SELECT * FROM audit_logs WHERE tenant_id = app_tenant() AND id = $1")
            .bind(id.as_uuid())
            .try_map(record)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(row)
    }
}

fn record(row: PgRow) -> Result<AuditRecord, sqlx::Error> {
    let user: Option<Uuid> = row.try_get("user_id")?;
    let session: Option<Uuid> = row.try_get("session_id")?;
    let request: Option<String> = row.try_get("request_id")?;
    Ok(AuditRecord {
        id: id(&row, "id")?,
        tenant_id: id(&row, "tenant_id")?,
        user_id: user.map(Into::into),
        session_id: session.map(Into::into),
        event_type: row.try_get("event_type")?,
        resource_type: row.try_get("resource_type")?,
        resource_id: row.try_get("resource_id")?,
        model: row.try_get("model")?,
        tools_used: row.try_get("tools_used")?,
        request_hash: row.try_get("request_hash")?,
        result_status: row.try_get("result_status")?,
        latency_ms: row.try_get("latency_ms")?,
        correlation_id: row.try_get("correlation_id")?,
        request_id: request.as_deref().and_then(RequestId::parse),
        phase: row.try_get("phase")?,
        metadata: row.try_get("metadata")?,
        created_at: row.try_get("created_at")?,
    })
}
