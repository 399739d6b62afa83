//! Reads the audit log in chain order, with the auditor's role.

use super::chain_rows::{ChainEntryRow, CheckpointRow, PurgeRow, checkpoint_columns, purge_columns};
use super::verify::lift_limits;
use crate::pool::Database;
use crate::rows::AuditHashColumn;
use crate::statement::{DbRole, Scalar, Statement, statements};
use domain::audit::chain::{AuditHash, ChainPage, ChainPageEntry};
use domain::ports::StoreError;
use uuid::Uuid;

const ACTIVITY: &str = "reading the sealed audit log";

statements! {
    CHAINS: Scalar<Uuid> = Statement::call("audit_streams", ACTIVITY, "SELECT * FROM audit_streams() ORDER BY 1")
        .run_by(DbRole::Auditor);
    PREVIOUS_HASH: Scalar<AuditHashColumn> = Statement::select(
        "audit_chain",
        ACTIVITY,
        "SELECT chain_hash FROM audit_chain WHERE tenant_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1",
    )
    .run_by(DbRole::Auditor);
    ENTRIES: ChainEntryRow = Statement::select(
        "audit_chain",
        ACTIVITY,
        "SELECT c.tenant_id, c.seq, c.audit_id AS id, c.at AS created_at, c.row_hash, c.chain_hash,
                l.event_type, l.phase, l.result_status, l.user_id, l.layout AS format_version, l.session_id,
                l.conversation_id, l.resource_type, l.resource_id,
                l.model, l.tools_used, l.request_hash, l.latency_ms, l.correlation_id, l.request_id,
                l.metadata::text AS metadata
         FROM audit_chain c
         LEFT JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id AND l.created_at = c.at
         WHERE c.tenant_id = $1 AND c.seq > $2 ORDER BY c.seq LIMIT $3",
    )
    .run_by(DbRole::Auditor);
    CHECKPOINTS: CheckpointRow = Statement::select(
        "audit_checkpoints",
        ACTIVITY,
        concat!(
            "SELECT ",
            checkpoint_columns!(),
            " FROM audit_checkpoints WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"
        ),
    )
    .run_by(DbRole::Auditor);
    /// Only the first page, for which `$2` (`after_seq`) is 0, has the purge records.
    PURGES: PurgeRow = Statement::select(
        "audit_retirements",
        ACTIVITY,
        concat!(
            "SELECT ",
            purge_columns!(),
            " FROM audit_retirements WHERE tenant_id = $1 AND $2 = 0 ORDER BY before"
        ),
    )
    .run_by(DbRole::Auditor);
}

/// Exports the log, tenant by tenant, for the operator's command line. API requests use [`super::PgAuditReader`]
/// instead, behind the authorization gate.
#[derive(Clone, Debug)]
pub struct AuditExport {
    database: Database,
}

impl AuditExport {
    /// Creates an export from a connection pool of the auditor's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Lists the tenants that have rows in the log, in ascending order; the nil id is the platform's own chain.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_tenants(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil()).await?;
        lift_limits(&mut transaction).await?;
        CHAINS.query().scalars(&mut transaction).await
    }

    /// Reads up to `limit` entries of a tenant's chain whose `seq` is greater than `after_seq`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(&self, tenant: Uuid, after_seq: i64, limit: u32) -> Result<ChainPage, StoreError> {
        page(&self.database, tenant, after_seq, limit).await
    }
}

/// Reads up to `limit` entries of a tenant's chain whose `seq` is greater than `after_seq`, in a single snapshot.
pub(super) async fn page(
    database: &Database,
    tenant: Uuid,
    after_seq: i64,
    limit: u32,
) -> Result<ChainPage, StoreError> {
    let mut transaction = database.begin_snapshot(tenant).await?;
    let stored_hash = PREVIOUS_HASH.query().bind(tenant).bind(after_seq).optional_scalar(&mut transaction).await?;
    let query = ENTRIES.query().bind(tenant).bind(after_seq).bind(i64::from(limit) + 1);
    let mut entries: Vec<ChainPageEntry> = query.fetch_all(&mut transaction).await?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    // The checkpoints of this page's entries. The last page also gets those beyond the end of the chain, which prove
    // that entries are missing.
    let last_seq = if has_more { entries.last().map(ChainPageEntry::seq) } else { None };
    let query = CHECKPOINTS.query().bind(tenant).bind(after_seq).bind(last_seq.unwrap_or(i64::MAX));
    let checkpoints = query.fetch_all(&mut transaction).await?;
    let purges = PURGES.query().bind(tenant).bind(after_seq).fetch_all(&mut transaction).await?;
    let previous_hash = stored_hash.map_or_else(|| AuditHash::genesis(tenant), |AuditHashColumn(hash)| hash);
    Ok(ChainPage { previous_hash, entries, checkpoints, purges, has_more })
}
