//! Takes rows out of the log when their time is over: whole months, with a signed record of where the chain goes on.
//!
//! As the migrating login, never as a role that the platform runs with.

use super::sealed_rows::hash;
use super::signature::SigningKey;
use crate::error::SetupError;
use domain::audit::sealed::{ChainHash, Retirement, decode_hex};
use domain::time::Timestamp;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

/// Why nothing was taken out.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] SetupError),
    /// Rows of that time have no place in the chain yet.
    #[error("{0} rows of that time are not sealed yet; let the platform run for a moment")]
    Unsealed(i64),
}

fn refused(source: sqlx::Error) -> RetireError {
    SetupError::Database { doing: "retiring audit rows", source }.into()
}

/// Takes out all rows before `before`, the first moment of a month, in one transaction, and leaves for each tenant a
/// signed record and an event. Returns the records.
///
/// # Errors
/// Where the database fails or something of that time is not sealed; nothing is changed then.
pub async fn retire(
    migration_url: &str,
    before: Timestamp,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Vec<Retirement>, RetireError> {
    let mut connection = PgConnection::connect(migration_url).await.map_err(refused)?;
    let mut transaction = connection.begin().await.map_err(refused)?;
    // The lock is the sealer's: no place is given meanwhile.
    sqlx::raw_sql("SET LOCAL ROLE platform_owner; SELECT pg_advisory_xact_lock(x'61756469'::integer, 0)")
        .execute(&mut *transaction)
        .await
        .map_err(refused)?;
    let unsealed: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_unsealed WHERE at < $1")
        .bind(before)
        .fetch_one(&mut *transaction)
        .await
        .map_err(refused)?;
    if unsealed > 0 {
        return Err(RetireError::Unsealed(unsealed));
    }
    let mut records = Vec::new();
    for (tenant, rows) in tenants(&mut transaction, before).await.map_err(refused)? {
        let (through_seq, chain_hash) = cut(&mut transaction, tenant, before).await.map_err(refused)?;
        let (key_id, signature) = (String::new(), String::new());
        let unsigned =
            Retirement { tenant_id: tenant, through_seq, chain_hash, before, rows, at: now, key_id, signature };
        records.push(key.retirement(unsigned));
    }
    for record in &records {
        keep(&mut transaction, record).await.map_err(refused)?;
    }
    drop_rows(&mut transaction, before).await.map_err(refused)?;
    transaction.commit().await.map_err(refused)?;
    Ok(records)
}

/// Tenants with rows before the moment, and how many.
async fn tenants(connection: &mut PgConnection, before: Timestamp) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT tenant_id, count(*) FROM audit_logs WHERE created_at < $1 GROUP BY 1 ORDER BY 1")
        .bind(before)
        .fetch_all(connection)
        .await
}

/// The last place before the first row that stays, and the chain's hash there.
async fn cut(connection: &mut PgConnection, tenant: Uuid, before: Timestamp) -> Result<(i64, ChainHash), sqlx::Error> {
    let place = sqlx::query(
        "SELECT seq, chain_hash FROM audit_chain
         WHERE tenant_id = $1
           AND seq < coalesce((SELECT min(seq) FROM audit_chain WHERE tenant_id = $1 AND at >= $2), 9223372036854775807)
         ORDER BY seq DESC LIMIT 1",
    )
    .bind(tenant)
    .bind(before)
    .fetch_optional(connection)
    .await?;
    match place {
        Some(row) => Ok((row.try_get("seq")?, hash(&row, "chain_hash")?)),
        None => Ok((0, ChainHash::genesis(tenant))),
    }
}

/// Keeps the record, takes the places before the cut out of the chain, and leaves an event.
async fn keep(connection: &mut PgConnection, record: &Retirement) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit_retirements (tenant_id, through_seq, chain_hash, before, rows, at, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(record.tenant_id)
    .bind(record.through_seq)
    .bind(record.chain_hash.as_bytes().as_slice())
    .bind(record.before)
    .bind(record.rows)
    .bind(record.at)
    .bind(&record.key_id)
    .bind(decode_hex(&record.signature).unwrap_or_default())
    .execute(&mut *connection)
    .await?;
    // The place of the cut itself stays: the next hash is computed from it.
    sqlx::query("DELETE FROM audit_chain WHERE tenant_id = $1 AND seq < $2")
        .bind(record.tenant_id)
        .bind(record.through_seq)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO audit_logs (tenant_id, event_type, resource_type, result_status, metadata)
         VALUES ($1, 'audit.retired', 'audit_logs', 'success', $2)",
    )
    .bind(record.tenant_id)
    .bind(json!({"before": record.before, "rows": record.rows, "through_seq": record.through_seq}))
    .execute(connection)
    .await
    .map(drop)
}

/// Whole months go with their partition.
async fn drop_rows(connection: &mut PgConnection, before: Timestamp) -> Result<(), sqlx::Error> {
    let months: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'audit_logs'::regclass AND c.relname ~ '^audit_logs_[0-9]{4}_[0-9]{2}$'
           AND c.relname < 'audit_logs_' || to_char($1 AT TIME ZONE 'UTC', 'YYYY_MM')",
    )
    .bind(before)
    .fetch_all(&mut *connection)
    .await?;
    for month in months {
        // The name comes from the catalog and has the form above.
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {month}"))).execute(&mut *connection).await?;
    }
    sqlx::query("DELETE FROM audit_logs_other WHERE created_at < $1").bind(before).execute(connection).await.map(drop)
}
