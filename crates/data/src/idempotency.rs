//! What is kept of the requests of the transaction's user that may be repeated.

use crate::error::failed;
use crate::rows::json;
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::idempotency::{IdempotencyRecord, StoredOutcome, StoredResponse};
use domain::ports::{IdempotencyRepo, StoreError};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

#[async_trait]
impl IdempotencyRepo for PgTenantTx {
    async fn claim(
        &mut self,
        key_hash: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        // A second claim of the same key waits for the first one's transaction.
        let taken = sqlx::query(
            "INSERT INTO idempotency_keys AS kept (tenant_id, user_id, key_hash, fingerprint, created_at, expires_at)
             VALUES (app_tenant(), app_user(), $1, $2, $3, $4)
             ON CONFLICT (tenant_id, user_id, key_hash) DO UPDATE
             SET fingerprint = excluded.fingerprint, state = 'running', status = NULL, headers = '[]', body = NULL,
                 created_at = excluded.created_at, expires_at = excluded.expires_at
             WHERE kept.expires_at <= excluded.created_at",
        )
        .bind(key_hash)
        .bind(fingerprint)
        .bind(now)
        .bind(expires_at)
        .execute(self.connection())
        .await
        .map_err(failed("claiming an idempotency key"))?;
        if taken.rows_affected() > 0 {
            return Ok(None);
        }
        let earlier = sqlx::query(
            "SELECT fingerprint, state, status, headers, body, created_at FROM idempotency_keys WHERE key_hash = $1",
        )
        .bind(key_hash)
        .try_map(earlier)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("reading an idempotency key"))?;
        // Given up in between: to the caller the other request was still at work.
        Ok(Some(earlier.unwrap_or(IdempotencyRecord { fingerprint: None, kept: None, since: now })))
    }

    async fn settle(&mut self, key_hash: &str, fingerprint: &str, kept: &StoredOutcome) -> Result<(), StoreError> {
        let (state, answer) = match kept {
            StoredOutcome::Response(answer) => ("done", Some(answer)),
            StoredOutcome::SecretShown => ("spent", None),
        };
        sqlx::query(
            "UPDATE idempotency_keys
             SET fingerprint = $2, state = $3, status = $4, headers = coalesce($5, '[]'), body = $6
             WHERE key_hash = $1",
        )
        .bind(key_hash)
        .bind(fingerprint)
        .bind(state)
        .bind(answer.map(|answer| i16::try_from(answer.status).unwrap_or(i16::MAX)))
        .bind(answer.map(|answer| Json(&answer.headers)))
        .bind(answer.map(|answer| &answer.body))
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("keeping an answer"))
    }

    async fn release(&mut self, key_hash: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotency_keys WHERE key_hash = $1 AND state = 'running'")
            .bind(key_hash)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(failed("giving up an idempotency key"))
    }
}

fn earlier(row: PgRow) -> Result<IdempotencyRecord, sqlx::Error> {
    let kept = match row.try_get::<&str, _>("state")? {
        "done" => Some(StoredOutcome::Response(StoredResponse {
            status: row.try_get::<i16, _>("status")?.unsigned_abs(),
            headers: json(&row, "headers")?,
            body: row.try_get("body")?,
        })),
        "spent" => Some(StoredOutcome::SecretShown),
        _ => None,
    };
    Ok(IdempotencyRecord { fingerprint: row.try_get("fingerprint")?, kept, since: row.try_get("created_at")? })
}
