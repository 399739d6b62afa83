//! Reads the audit log in chain order, with the auditor's role.

use super::sealed_rows::{CheckpointRow, RetirementRow, SealedEntryRow, checkpoint_columns, retirement_columns};
use super::verify::lift_limits;
use crate::pool::Database;
use crate::rows::Hash;
use crate::statement::{Login, Scalar, Statement, statements};
use domain::audit::sealed::{ChainHash, SealedEntry, SealedPage};
use domain::ports::StoreError;
use uuid::Uuid;

const ACTIVITY: &str = "reading the sealed audit log";

statements! {
    STREAMS: Scalar<Uuid> = Statement::call("audit_streams", ACTIVITY, "SELECT * FROM audit_streams() ORDER BY 1")
        .run_by(Login::Auditor);
    HASH_BEFORE: Scalar<Hash> = Statement::select(
        "audit_chain",
        ACTIVITY,
        "SELECT chain_hash FROM audit_chain WHERE tenant_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1",
    )
    .run_by(Login::Auditor);
    ENTRIES: SealedEntryRow = Statement::select(
        "audit_chain",
        ACTIVITY,
        "SELECT c.tenant_id, c.seq, c.audit_id AS id, c.at AS created_at, c.row_hash, c.chain_hash,
                l.event_type, l.phase, l.result_status, l.user_id, l.session_id, l.resource_type, l.resource_id,
                l.model, l.tools_used, l.request_hash, l.latency_ms, l.correlation_id, l.request_id,
                l.metadata::text AS metadata
         FROM audit_chain c
         LEFT JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id AND l.created_at = c.at
         WHERE c.tenant_id = $1 AND c.seq > $2 ORDER BY c.seq LIMIT $3",
    )
    .run_by(Login::Auditor);
    CHECKPOINTS: CheckpointRow = Statement::select(
        "audit_checkpoints",
        ACTIVITY,
        concat!(
            "SELECT ",
            checkpoint_columns!(),
            " FROM audit_checkpoints WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"
        ),
    )
    .run_by(Login::Auditor);
    RETIREMENTS: RetirementRow = Statement::select(
        "audit_retirements",
        ACTIVITY,
        concat!(
            "SELECT ",
            retirement_columns!(),
            " FROM audit_retirements WHERE tenant_id = $1 AND $2 = 0 ORDER BY before"
        ),
    )
    .run_by(Login::Auditor);
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

    /// Lists the tenants that have rows in the log, in ascending order; the nil id stands for the
    /// platform's own events.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn streams(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil()).await?;
        lift_limits(&mut transaction).await?;
        STREAMS.query().scalars(&mut transaction).await
    }

    /// Reads up to `limit` entries of a tenant's chain whose `seq` is greater than `after_seq`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(&self, tenant: Uuid, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
        page(&self.database, tenant, after, limit).await
    }
}

/// Reads up to `limit` entries of a tenant's chain whose `seq` is greater than `after_seq`, in a single snapshot.
pub(super) async fn page(database: &Database, tenant: Uuid, after: i64, limit: u32) -> Result<SealedPage, StoreError> {
    let mut transaction = database.begin_snapshot(tenant).await?;
    let before = HASH_BEFORE.query().bind(tenant).bind(after).optional_scalar(&mut transaction).await?;
    let query = ENTRIES.query().bind(tenant).bind(after).bind(i64::from(limit) + 1);
    let mut entries: Vec<SealedEntry> = query.fetch_all(&mut transaction).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    // The checkpoints of this page's entries. The last page also gets those beyond the end of the chain, which prove
    // that entries are missing.
    let last = if more { entries.last().map(SealedEntry::seq) } else { None };
    let query = CHECKPOINTS.query().bind(tenant).bind(after).bind(last.unwrap_or(i64::MAX));
    let checkpoints = query.fetch_all(&mut transaction).await?;
    let retirements = RETIREMENTS.query().bind(tenant).bind(after).fetch_all(&mut transaction).await?;
    let anchor = before.map_or_else(|| ChainHash::genesis(tenant), |Hash(hash)| hash);
    Ok(SealedPage { anchor, entries, checkpoints, retirements, more })
}
