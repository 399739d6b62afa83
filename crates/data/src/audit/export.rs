//! Reads the log in the order of its chain, as the auditor's role.

use super::sealed_rows;
use super::verify::unhurried;
use crate::error::failed;
use crate::pool::Database;
use domain::audit::sealed::{ChainHash, Checkpoint, Retirement, SealedEntry, SealedPage};
use domain::ports::StoreError;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;

const DOING: &str = "reading the sealed audit log";

/// Takes the log out, tenant by tenant. For the operator's command; requests go through the gate to [`super::PgAuditReader`].
#[derive(Clone, Debug)]
pub struct AuditExport {
    database: Database,
}

impl AuditExport {
    /// Over connections of the auditor's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The tenants that the log knows, the platform's own stream (nil) among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn streams(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil().to_string()).await?;
        unhurried(&mut transaction).await?;
        sqlx::query_scalar("SELECT * FROM audit_streams() ORDER BY 1")
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed(DOING))
    }

    /// Up to `limit` places of a tenant's chain after place `after`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn page(&self, tenant: Uuid, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
        page(&self.database, tenant, after, limit).await
    }
}

/// Up to `limit` places of a tenant's chain after place `after`, in one snapshot.
pub(super) async fn page(database: &Database, tenant: Uuid, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
    let mut transaction = database.begin_snapshot(tenant.to_string()).await?;
    let before: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT chain_hash FROM audit_chain WHERE tenant_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1",
    )
    .bind(tenant)
    .bind(after)
    .fetch_optional(&mut *transaction)
    .await
    .map_err(failed(DOING))?;
    let mut entries = sqlx::query(
        "SELECT c.tenant_id, c.seq, c.audit_id AS id, c.at AS created_at, c.row_hash, c.chain_hash,
                l.event_type, l.phase, l.result_status, l.user_id, l.session_id, l.resource_type, l.resource_id, l.model,
                l.tools_used, l.request_hash, l.latency_ms, l.correlation_id, l.request_id, l.metadata::text AS metadata
         FROM audit_chain c
         LEFT JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id AND l.created_at = c.at
         WHERE c.tenant_id = $1 AND c.seq > $2 ORDER BY c.seq LIMIT $3",
    )
    .bind(tenant)
    .bind(after)
    .bind(i64::from(limit) + 1)
    .try_map(|row: PgRow| sealed_rows::entry(&row))
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed(DOING))?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let last = if more { entries.last().map(SealedEntry::seq) } else { None };
    let (checkpoints, retirements) = proofs(&mut transaction, tenant, (after, last)).await.map_err(failed(DOING))?;
    let anchor = before.as_deref().and_then(ChainHash::from_slice).unwrap_or_else(|| ChainHash::genesis(tenant));
    Ok(SealedPage { anchor, entries, checkpoints, retirements, more })
}

/// What of the chain's proofs belongs to a page: checkpoints of its places, and on the last page those beyond.
async fn proofs(
    connection: &mut PgConnection,
    tenant: Uuid,
    (after, last): (i64, Option<i64>),
) -> Result<(Vec<Checkpoint>, Vec<Retirement>), sqlx::Error> {
    let checkpoints =
        sqlx::query("SELECT * FROM audit_checkpoints WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq")
            .bind(tenant)
            .bind(after)
            .bind(last.unwrap_or(i64::MAX))
            .try_map(sealed_rows::checkpoint)
            .fetch_all(&mut *connection)
            .await?;
    let retirements = sqlx::query("SELECT * FROM audit_retirements WHERE tenant_id = $1 AND $2 = 0 ORDER BY before")
        .bind(tenant)
        .bind(after)
        .try_map(sealed_rows::retirement)
        .fetch_all(&mut *connection)
        .await?;
    Ok((checkpoints, retirements))
}
