//! Sealed rows as they stand in the database: a row of the log joined to its place in the chain.

use domain::audit::sealed::{ChainHash, Checkpoint, EntryWithoutRow, Retirement, SealedEntry, SealedEvent};
use domain::time::Timestamp;
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// A place of the chain, with its row where that is there.
pub(super) fn entry(row: &PgRow) -> Result<SealedEntry, sqlx::Error> {
    if row.try_get::<Option<&str>, _>("phase")?.is_some() {
        return Ok(SealedEntry::Event(Box::new(event(row)?)));
    }
    Ok(SealedEntry::WithoutRow(EntryWithoutRow {
        tenant_id: row.try_get("tenant_id")?,
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        created_at: row.try_get("created_at")?,
        row_hash: hash(row, "row_hash")?,
        chain_hash: hash(row, "chain_hash")?,
    }))
}

/// `metadata` as the text that the database prints.
fn event(row: &PgRow) -> Result<SealedEvent, sqlx::Error> {
    let metadata: String = row.try_get("metadata")?;
    Ok(SealedEvent {
        tenant_id: row.try_get("tenant_id")?,
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        created_at: row.try_get("created_at")?,
        event_type: row.try_get("event_type")?,
        phase: row.try_get("phase")?,
        result_status: row.try_get("result_status")?,
        user_id: row.try_get("user_id")?,
        session_id: row.try_get("session_id")?,
        resource_type: row.try_get("resource_type")?,
        resource_id: row.try_get("resource_id")?,
        model: row.try_get("model")?,
        tools_used: row.try_get("tools_used")?,
        request_hash: row.try_get("request_hash")?,
        latency_ms: row.try_get("latency_ms")?,
        correlation_id: row.try_get("correlation_id")?,
        request_id: row.try_get("request_id")?,
        metadata: RawValue::from_string(metadata).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        row_hash: hash(row, "row_hash")?,
        chain_hash: hash(row, "chain_hash")?,
    })
}

pub(super) fn hash(row: &PgRow, column: &str) -> Result<ChainHash, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    ChainHash::from_slice(&bytes).ok_or_else(|| sqlx::Error::Decode(format!("{column} is no SHA-256").into()))
}

pub(super) fn checkpoint(row: PgRow) -> Result<Checkpoint, sqlx::Error> {
    Ok(Checkpoint {
        tenant_id: row.try_get("tenant_id")?,
        seq: row.try_get("seq")?,
        chain_hash: hash(&row, "chain_hash")?,
        at: row.try_get("at")?,
        key_id: row.try_get("key_id")?,
        signature: signature(&row)?,
    })
}

pub(super) fn retirement(row: PgRow) -> Result<Retirement, sqlx::Error> {
    let before: Timestamp = row.try_get("before")?;
    Ok(Retirement {
        tenant_id: row.try_get("tenant_id")?,
        through_seq: row.try_get("through_seq")?,
        chain_hash: hash(&row, "chain_hash")?,
        before,
        rows: row.try_get("rows")?,
        at: row.try_get("at")?,
        key_id: row.try_get("key_id")?,
        signature: signature(&row)?,
    })
}

fn signature(row: &PgRow) -> Result<String, sqlx::Error> {
    row.try_get::<Vec<u8>, _>("signature").map(hex::encode)
}
