//! Deletes audit rows past their retention period, a whole month at a time, and stores a signed record of where the
//! remaining hash chain starts.
//!
//! Connects with the login that applies migrations. The roles that the server connects with cannot delete audit rows.

use super::signature::SigningKey;
use crate::error::{SetupError, store_error};
use crate::rows::AuditHashColumn;
use crate::statement::{DbRole, Scalar, Statement, row, statements};
use domain::audit::chain::{AuditHash, PurgeRecord, decode_hex};
use domain::ports::StoreError;
use domain::time::Timestamp;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

const ACTIVITY: &str = "retiring audit rows";

/// The lock key, `x'61756469'` ("audi" in ASCII), is the one that `audit_seal` takes, so the chains cannot grow until
/// the transaction ends.
const BECOME_OWNER_AND_LOCK_SEALING: &str =
    "SET LOCAL ROLE platform_owner; SELECT pg_advisory_xact_lock(x'61756469'::integer, 0)";

row! {
    /// A tenant with rows to delete, and their number.
    struct TenantRow {
        tenant_id: Uuid,
        row_count: i64,
    }
}

row! {
    /// The last chain entry that precedes the first retained row.
    struct BoundaryEntry {
        seq: i64,
        chain_hash: AuditHashColumn,
    }
}

statements! {
    COUNT_UNSEALED: Scalar<i64> = Statement::select(
        "audit_unsealed",
        ACTIVITY,
        "SELECT count(*) FROM audit_unsealed WHERE at < $1",
    )
    .run_by(DbRole::Owner);
    TENANTS: TenantRow = Statement::select(
        "audit_logs",
        ACTIVITY,
        "SELECT tenant_id, count(*) AS row_count FROM audit_logs WHERE created_at < $1 GROUP BY 1 ORDER BY 1",
    )
    .run_by(DbRole::Owner);
    BOUNDARY_ENTRY: BoundaryEntry = Statement::select(
        "audit_chain",
        ACTIVITY,
        "SELECT seq, chain_hash FROM audit_chain
         WHERE tenant_id = $1
           AND seq < coalesce((SELECT min(seq) FROM audit_chain WHERE tenant_id = $1 AND at >= $2), 9223372036854775807)
         ORDER BY seq DESC LIMIT 1",
    )
    .run_by(DbRole::Owner);
    INSERT_RETIREMENT: () = Statement::insert(
        "audit_retirements",
        ACTIVITY,
        "INSERT INTO audit_retirements (tenant_id, through_seq, chain_hash, before, rows, at, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .run_by(DbRole::Owner);
    /// Keeps the boundary entry itself, because the hash of the next entry is computed from it.
    DELETE_ENTRIES: () = Statement::delete(
        "audit_chain",
        ACTIVITY,
        "DELETE FROM audit_chain WHERE tenant_id = $1 AND seq < $2",
    )
    .run_by(DbRole::Owner);
    INSERT_EVENT: () = Statement::insert(
        "audit_logs",
        ACTIVITY,
        "INSERT INTO audit_logs (tenant_id, event_type, resource_type, result_status, metadata)
         VALUES ($1, 'audit.retired', 'audit_logs', 'success', $2)",
    )
    .run_by(DbRole::Owner);
    /// `DO` takes no parameters, so the timestamp is passed as a transaction-local setting.
    SET_CUTOFF: () = Statement::call(
        "set_config",
        ACTIVITY,
        "SELECT set_config('platform.retire_before', $1, true)",
    )
    .run_by(DbRole::Owner);
    DROP_PARTITIONS: () = Statement::delete(
        "audit_logs",
        ACTIVITY,
        "DO $$
         DECLARE
             month text;
         BEGIN
             FOR month IN
                 SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'audit_logs'::regclass AND c.relname ~ '^audit_logs_[0-9]{4}_[0-9]{2}$'
                   AND c.relname < 'audit_logs_' || to_char(current_setting('platform.retire_before')::timestamptz
                                                            AT TIME ZONE 'UTC', 'YYYY_MM')
             LOOP
                 EXECUTE format('DROP TABLE %I', month);
             END LOOP;
         END $$",
    )
    .run_by(DbRole::Owner);
    DELETE_OTHER_ROWS: () = Statement::delete(
        "audit_logs_other",
        ACTIVITY,
        "DELETE FROM audit_logs_other WHERE created_at < $1",
    )
    .run_by(DbRole::Owner);
}

/// Why [`purge`] failed. Nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] SetupError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The number of rows created before the cutoff that are not in the chain yet.
    #[error("{0} rows to delete are not sealed yet; wait until the running platform has sealed them")]
    Unsealed(i64),
}

/// Deletes all rows created before `cutoff`, which must be the start of a month (UTC), in one transaction. Stores a
/// signed record and an audit event for each tenant that had such rows, and returns the records.
///
/// # Errors
/// If the database fails, or if a row created before `cutoff` is not sealed yet. Nothing is changed in that case.
pub async fn purge(
    migration_url: &str,
    cutoff: Timestamp,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Vec<PurgeRecord>, PurgeError> {
    let database_error = |source| SetupError::Database { activity: ACTIVITY, source };
    let mut connection = PgConnection::connect(migration_url).await.map_err(database_error)?;
    let mut transaction = connection.begin().await.map_err(store_error(ACTIVITY))?;
    sqlx::raw_sql(BECOME_OWNER_AND_LOCK_SEALING).execute(&mut *transaction).await.map_err(store_error(ACTIVITY))?;
    let unsealed_rows = COUNT_UNSEALED.query().bind(cutoff).scalar(&mut transaction).await?;
    if unsealed_rows > 0 {
        return Err(PurgeError::Unsealed(unsealed_rows));
    }
    let mut purge_records = Vec::new();
    let tenants: Vec<TenantRow> = TENANTS.query().bind(cutoff).fetch_all(&mut transaction).await?;
    for TenantRow { tenant_id, row_count } in tenants {
        let boundary: Option<BoundaryEntry> =
            BOUNDARY_ENTRY.query().bind(tenant_id).bind(cutoff).fetch_optional(&mut transaction).await?;
        let (through_seq, chain_hash) = boundary
            .map_or_else(|| (0, AuditHash::genesis(tenant_id)), |boundary| (boundary.seq, boundary.chain_hash.0));
        let unsigned_record = PurgeRecord {
            tenant_id,
            through_seq,
            chain_hash,
            created_before: cutoff,
            row_count,
            signed_at: now,
            key_id: String::new(),
            signature: String::new(),
        };
        purge_records.push(key.sign_purge_record(unsigned_record));
    }
    for record in &purge_records {
        apply_purge(&mut transaction, record).await?;
    }
    SET_CUTOFF.query().bind(cutoff.to_rfc3339()).execute(&mut transaction).await?;
    DROP_PARTITIONS.query().execute(&mut transaction).await?;
    DELETE_OTHER_ROWS.query().bind(cutoff).execute(&mut transaction).await?;
    transaction.commit().await.map_err(store_error(ACTIVITY))?;
    Ok(purge_records)
}

/// Stores the signed record, deletes the tenant's chain entries before the boundary entry, and appends an audit event.
async fn apply_purge(connection: &mut PgConnection, record: &PurgeRecord) -> Result<(), StoreError> {
    INSERT_RETIREMENT
        .query()
        .bind(record.tenant_id)
        .bind(record.through_seq)
        .bind(record.chain_hash.as_bytes().as_slice())
        .bind(record.created_before)
        .bind(record.row_count)
        .bind(record.signed_at)
        .bind(&record.key_id)
        .bind(decode_hex(&record.signature).unwrap_or_default())
        .execute(connection)
        .await?;
    DELETE_ENTRIES.query().bind(record.tenant_id).bind(record.through_seq).execute(connection).await?;
    let metadata =
        json!({"before": record.created_before, "rows": record.row_count, "through_seq": record.through_seq});
    INSERT_EVENT.query().bind(record.tenant_id).bind(metadata).execute(connection).await
}
