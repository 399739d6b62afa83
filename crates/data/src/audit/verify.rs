//! Verifies the audit log in the database, with the auditor's role: each row against its recorded hash, each entry
//! against the hash chain, the chain against the signed checkpoints, and that every row is in the chain or queued for
//! sealing.
//!
//! Does not rely on user-defined database functions, which an attacker could replace: rows are converted to text with
//! built-in functions only, and the text is hashed here.

use super::chain_rows::{CheckpointRow, PurgeRow, checkpoint_columns, purge_columns};
use super::chain_verifier::{ChainEntry, ChainReport, ChainVerifier};
use super::signature::TrustedKeys;
use crate::pool::Database;
use crate::rows::{AuditHashColumn, non_negative};
use crate::statement::{DbRole, Scalar, Statement, row, statements};
use domain::audit::chain::{AuditHash, Checkpoint, PurgeRecord};
use domain::ports::StoreError;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

const ACTIVITY: &str = "verifying the audit log";

/// The expression of the function `audit_canonical` (migration 22), repeated here so that the verification does not
/// depend on a function that could have been replaced. `l` is the alias of `audit_logs`.
macro_rules! canonical {
    () => {
        "CASE WHEN l.layout = 1 AND l.conversation_id IS NULL
              THEN jsonb_build_array(1, l.tenant_id, l.id, l.user_id, l.session_id, l.event_type, l.resource_type,
                                     l.resource_id, l.model, l.tools_used, l.request_hash, l.result_status,
                                     l.latency_ms, l.metadata, (extract(epoch FROM l.created_at) * 1000000)::bigint,
                                     l.correlation_id, l.request_id, l.phase)
              ELSE jsonb_build_array(l.layout, l.tenant_id, l.id, l.user_id, l.session_id, l.conversation_id,
                                     l.event_type, l.resource_type, l.resource_id, l.model, l.tools_used,
                                     l.request_hash, l.result_status, l.latency_ms, l.metadata,
                                     (extract(epoch FROM l.created_at) * 1000000)::bigint, l.correlation_id,
                                     l.request_id, l.phase)
         END::text"
    };
}

row! {
    /// A chain entry with the text that is hashed for its audit row (`canonical`); null if that row has been deleted.
    struct EntryRow {
        seq: i64,
        audit_id: Uuid,
        at_micros: i64,
        row_hash: AuditHashColumn,
        chain_hash: AuditHashColumn,
        canonical: Option<String>,
    }
}

row! {
    /// An audit row that is neither in the chain nor queued for sealing, or that was changed or deleted while it was
    /// queued. `finding` is a sentence that says which of these applies.
    struct UnaccountedRow {
        id: Uuid,
        finding: String,
    }
}

statements! {
    CHAINS: Scalar<Uuid> = Statement::call("audit_streams", ACTIVITY, "SELECT * FROM audit_streams()")
        .run_by(DbRole::Auditor);
    CHECKPOINTS: CheckpointRow = Statement::select(
        "audit_checkpoints",
        ACTIVITY,
        concat!("SELECT ", checkpoint_columns!(), " FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY seq"),
    )
    .run_by(DbRole::Auditor);
    PURGES: PurgeRow = Statement::select(
        "audit_retirements",
        ACTIVITY,
        concat!("SELECT ", purge_columns!(), " FROM audit_retirements WHERE tenant_id = $1"),
    )
    .run_by(DbRole::Auditor);
    ENTRIES: EntryRow = Statement::select(
        "audit_chain",
        ACTIVITY,
        concat!(
            "SELECT c.seq, c.audit_id, (extract(epoch FROM c.at) * 1000000)::bigint AS at_micros, c.row_hash,
                c.chain_hash,
                   CASE WHEN l.id IS NOT NULL THEN
",
            canonical!(),
            "
                   END AS canonical
            FROM audit_chain c LEFT JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id
            WHERE c.tenant_id = $1
            ORDER BY c.seq"
        ),
    )
    .run_by(DbRole::Auditor);
    /// Finds rows that are neither in the chain nor queued for sealing, and queued rows that have been changed or
    /// deleted since they were written. At most 100.
    UNACCOUNTED_ROWS: UnaccountedRow = Statement::select(
        "audit_logs",
        ACTIVITY,
        concat!(
            "SELECT l.id, 'the row came in past the chain' AS finding
            FROM audit_logs l
            WHERE l.tenant_id = $1
              AND NOT EXISTS (SELECT FROM audit_chain c WHERE c.tenant_id = l.tenant_id AND c.audit_id = l.id)
              AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.tenant_id = l.tenant_id AND u.audit_id = l.id)
            UNION ALL
            SELECT u.audit_id, CASE WHEN l.id IS NULL THEN 'the row was deleted before it was sealed'
                                    ELSE 'the row was changed before it was sealed' END
            FROM audit_unsealed u LEFT JOIN audit_logs l ON l.tenant_id = u.tenant_id AND l.id = u.audit_id
            WHERE u.tenant_id = $1
              AND (l.id IS NULL
                   OR sha256(convert_to(
",
            canonical!(),
            ", 'UTF8')) <> u.row_hash)
            ORDER BY 1 LIMIT 100"
        ),
    )
    .run_by(DbRole::Auditor);
    COUNT_UNSEALED: Scalar<i64> = Statement::select(
        "audit_unsealed",
        ACTIVITY,
        "SELECT count(*) FROM audit_unsealed WHERE tenant_id = $1",
    )
    .run_by(DbRole::Auditor);
    LIFT_LIMITS: () = Statement::call(
        "set_config",
        ACTIVITY,
        "SELECT set_config('statement_timeout', '0', true), set_config('work_mem', '128MB', true)",
    )
    .run_by(DbRole::Auditor);
}

/// Verifies the audit log in a database. Connects as the auditor's role.
#[derive(Clone, Debug)]
pub struct AuditVerifier {
    database: Database,
    keys: TrustedKeys,
}

impl AuditVerifier {
    /// Creates a verifier from a connection pool of the auditor's role. Only signatures made with `keys` are accepted.
    #[must_use]
    pub fn new(database: Database, keys: TrustedKeys) -> Self {
        Self { database, keys }
    }

    /// Lists the tenants that have rows in the log or a checkpoint in `external_checkpoints`, in ascending order; the
    /// nil id is the platform's own chain.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_tenants(&self, external_checkpoints: &[Checkpoint]) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil()).await?;
        lift_limits(&mut transaction).await?;
        let logged_tenants = CHAINS.query().scalars(&mut transaction).await?;
        let tenants: BTreeSet<Uuid> =
            logged_tenants.into_iter().chain(external_checkpoints.iter().map(|signed| signed.tenant_id)).collect();
        Ok(tenants.into_iter().collect())
    }

    /// Verifies the log of one tenant in a single snapshot. `external_checkpoints` are checkpoints that were kept
    /// outside the database. Without them, removal of the newest rows together with their checkpoints cannot be
    /// detected.
    ///
    /// # Errors
    /// If the database fails. Evidence of tampering is not an error; it is listed in the report.
    pub async fn verify(&self, tenant: Uuid, external_checkpoints: &[Checkpoint]) -> Result<ChainReport, StoreError> {
        let mut transaction = self.database.begin_snapshot(tenant).await?;
        lift_limits(&mut transaction).await?;
        let mut checkpoints: Vec<Checkpoint> = CHECKPOINTS.query().bind(tenant).fetch_all(&mut transaction).await?;
        let missing_checkpoints = external_checkpoints
            .iter()
            .filter(|external| external.tenant_id == tenant)
            // Compare without the signature: if two processes sign the same head, the database keeps only one of the
            // two signatures.
            .filter(|external| {
                !checkpoints.iter().any(|c| (c.seq, c.chain_hash) == (external.seq, external.chain_hash))
            })
            .cloned()
            .collect::<Vec<_>>();
        checkpoints.extend(missing_checkpoints.iter().cloned());
        let purge_records: Vec<PurgeRecord> = PURGES.query().bind(tenant).fetch_all(&mut transaction).await?;
        let mut chain_verifier = ChainVerifier::new(tenant, &checkpoints, &purge_records, &self.keys);
        let entries = ENTRIES.query().bind(tenant);
        entries.for_each(&mut transaction, |row| chain_verifier.verify_entry(&row.into())).await?;
        let mut report = chain_verifier.finish();
        for checkpoint in &missing_checkpoints {
            report.add_finding(
                Some(checkpoint.seq),
                None,
                "a checkpoint that was kept elsewhere is not in the database",
            );
        }
        add_unaccounted_rows(&mut transaction, tenant, &mut report).await?;
        Ok(report)
    }
}

impl From<EntryRow> for ChainEntry {
    fn from(row: EntryRow) -> Self {
        Self {
            seq: row.seq,
            audit_id: row.audit_id,
            at_micros: row.at_micros,
            row_hash: row.row_hash.0,
            chain_hash: row.chain_hash.0,
            computed_hash: row.canonical.map(|text| AuditHash::digest(text.as_bytes())),
        }
    }
}

/// Adds the unaccounted rows to the report, and the number of rows that are not sealed yet.
async fn add_unaccounted_rows(
    connection: &mut PgConnection,
    tenant: Uuid,
    report: &mut ChainReport,
) -> Result<(), StoreError> {
    let unaccounted_rows: Vec<UnaccountedRow> = UNACCOUNTED_ROWS.query().bind(tenant).fetch_all(connection).await?;
    for UnaccountedRow { id, finding } in unaccounted_rows {
        report.add_finding(None, Some(id), finding);
    }
    report.unsealed_row_count = COUNT_UNSEALED.query().bind(tenant).scalar(connection).await.map(non_negative)?;
    Ok(())
}

/// Disables the statement timeout and raises `work_mem` for this transaction, because a whole log is read and sorted.
pub(super) async fn lift_limits(connection: &mut PgConnection) -> Result<(), StoreError> {
    LIFT_LIMITS.query().execute(connection).await
}
