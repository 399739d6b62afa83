//! Verifies the log in the database, as the auditor's role: every row against its hash, every hash against the chain,
//! the chain against signed checkpoints, and that no row bypassed the chain.
//!
//! This trusts no function of the database: an expression of built-in functions turns rows into text, which is hashed
//! here.

use super::sealed_rows::{CheckpointRow, RetirementRow, checkpoint_columns, retirement_columns};
use super::signature::TrustedKeys;
use super::walk::{ChainEntry, StreamReport, Walk};
use crate::pool::Database;
use crate::rows::{Hash, count};
use crate::statement::{Login, Scalar, Statement, row, statements};
use domain::audit::sealed::{ChainHash, Checkpoint, Retirement};
use domain::ports::StoreError;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

const DOING: &str = "verifying the audit log";

/// `audit_canonical` of migration 11, spelled out so that nobody who can replace that function can deceive this.
macro_rules! canonical {
    () => {
        "jsonb_build_array(1, l.tenant_id, l.id, l.user_id, l.session_id, l.event_type, l.resource_type,
                           l.resource_id, l.model, l.tools_used, l.request_hash, l.result_status, l.latency_ms,
                           l.metadata, (extract(epoch FROM l.created_at) * 1000000)::bigint, l.correlation_id,
                           l.request_id, l.phase)::text"
    };
}

row! {
    struct EntryRow {
        seq: i64,
        audit_id: Uuid,
        at_micros: i64,
        row_hash: Hash,
        chain_hash: Hash,
        canonical: Option<String>,
    }
}

row! {
    /// A row that is not accounted for by the chain.
    struct StrayRow {
        id: Uuid,
        what: String,
    }
}

statements! {
    STREAMS: Scalar<Uuid> = Statement::call("audit_streams", DOING, "SELECT * FROM audit_streams()")
        .run_by(Login::Auditor);
    CHECKPOINTS: CheckpointRow = Statement::select(
        "audit_checkpoints",
        DOING,
        concat!("SELECT ", checkpoint_columns!(), " FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY seq"),
    )
    .run_by(Login::Auditor);
    RETIREMENTS: RetirementRow = Statement::select(
        "audit_retirements",
        DOING,
        concat!("SELECT ", retirement_columns!(), " FROM audit_retirements WHERE tenant_id = $1"),
    )
    .run_by(Login::Auditor);
    ENTRIES: EntryRow = Statement::select(
        "audit_chain",
        DOING,
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
    .run_by(Login::Auditor);
    /// Rows that are neither in the chain nor waiting for it; and of those that wait, the ones that are not what was
    /// written.
    STRAYS: StrayRow = Statement::select(
        "audit_logs",
        DOING,
        concat!(
            "SELECT l.id, 'the row came in past the chain' AS what
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
    .run_by(Login::Auditor);
    COUNT_UNSEALED: Scalar<i64> = Statement::select(
        "audit_unsealed",
        DOING,
        "SELECT count(*) FROM audit_unsealed WHERE tenant_id = $1",
    )
    .run_by(Login::Auditor);
    LIFT_LIMITS: () = Statement::call(
        "set_config",
        DOING,
        "SELECT set_config('statement_timeout', '0', true), set_config('work_mem', '128MB', true)",
    )
    .run_by(Login::Auditor);
}

/// Verifies the log in a database.
#[derive(Clone, Debug)]
pub struct AuditVerifier {
    database: Database,
    keys: TrustedKeys,
}

impl AuditVerifier {
    /// A verifier over connections of the auditor's role that trusts signatures of `keys`.
    #[must_use]
    pub fn new(database: Database, keys: TrustedKeys) -> Self {
        Self { database, keys }
    }

    /// The tenants with rows in the log or checkpoints in `outside`, the platform's own stream (nil) among them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn streams(&self, outside: &[Checkpoint]) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil().to_string()).await?;
        lift_limits(&mut transaction).await?;
        let known = STREAMS.query().scalars(&mut transaction).await?;
        let all: BTreeSet<Uuid> = known.into_iter().chain(outside.iter().map(|signed| signed.tenant_id)).collect();
        Ok(all.into_iter().collect())
    }

    /// Verifies one tenant's log in one snapshot. `outside` are checkpoints that were stored outside the database;
    /// without them, nobody can tell that the log's end was removed together with its checkpoints.
    ///
    /// # Errors
    /// If the database fails. What the verification finds is in the report.
    pub async fn verify(&self, tenant: Uuid, outside: &[Checkpoint]) -> Result<StreamReport, StoreError> {
        let mut transaction = self.database.begin_snapshot(tenant.to_string()).await?;
        lift_limits(&mut transaction).await?;
        let mut checkpoints: Vec<Checkpoint> = CHECKPOINTS.query().bind(tenant).fetch_all(&mut transaction).await?;
        let removed = outside
            .iter()
            .filter(|kept| kept.tenant_id == tenant)
            // Two processes that start at once sign the same head; the database keeps one of the two signatures.
            .filter(|kept| !checkpoints.iter().any(|c| (c.seq, c.chain_hash) == (kept.seq, kept.chain_hash)))
            .cloned()
            .collect::<Vec<_>>();
        checkpoints.extend(removed.iter().cloned());
        let retirements: Vec<Retirement> = RETIREMENTS.query().bind(tenant).fetch_all(&mut transaction).await?;
        let mut walk = Walk::new(tenant, &checkpoints, &retirements, &self.keys);
        let entries = ENTRIES.query().bind(tenant);
        entries.for_each(&mut transaction, |row| walk.entry(&row.into())).await?;
        let mut report = walk.finish();
        for gone in &removed {
            report.add(Some(gone.seq), None, "a checkpoint that was kept elsewhere is not in the database");
        }
        add_strays(&mut transaction, tenant, &mut report).await?;
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
            computed: row.canonical.map(|text| ChainHash::of(text.as_bytes())),
        }
    }
}

/// Reports the rows that are not accounted for by the chain, and counts those that wait for it.
async fn add_strays(connection: &mut PgConnection, tenant: Uuid, report: &mut StreamReport) -> Result<(), StoreError> {
    let strays: Vec<StrayRow> = STRAYS.query().bind(tenant).fetch_all(connection).await?;
    for StrayRow { id, what } in strays {
        report.add(None, Some(id), what);
    }
    report.unsealed = COUNT_UNSEALED.query().bind(tenant).scalar(connection).await.map(count)?;
    Ok(())
}

/// Lifts the limits that a request has: reading a whole log takes longer and sorts more.
pub(super) async fn lift_limits(connection: &mut PgConnection) -> Result<(), StoreError> {
    LIFT_LIMITS.query().execute(connection).await
}
