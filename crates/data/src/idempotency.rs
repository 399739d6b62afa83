//! Stores the response of a request that carried an idempotency key, so that a retry gets the same response.

use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::idempotency::{IdempotencyRecord, StoredOutcome, StoredResponse};
use domain::ports::{IdempotencyRepo, StoreError};
use domain::time::Timestamp;
use sqlx::types::Json;

row! {
    struct IdempotencyRow, columns = idempotency_columns {
        fingerprint: Option<String>,
        state: String,
        status: Option<i16>,
        headers: Json<Vec<(String, String)>>,
        body: Option<Vec<u8>>,
        created_at: Timestamp,
    }
}

statements! {
    /// Inserts the key, or takes over an expired one. Affects no row if the key is in use. A concurrent claim of the
    /// same key blocks until the first transaction ends.
    CLAIM: () = Statement::insert(
        "idempotency_keys",
        "claiming an idempotency key",
        "INSERT INTO idempotency_keys AS kept (tenant_id, user_id, key_hash, fingerprint, created_at, expires_at)
         VALUES (app_tenant(), app_user(), $1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id, key_hash) DO UPDATE
         SET fingerprint = excluded.fingerprint, state = 'running', status = NULL, headers = '[]', body = NULL,
             created_at = excluded.created_at, expires_at = excluded.expires_at
         WHERE kept.expires_at <= excluded.created_at",
    );
    GET: IdempotencyRow = Statement::select(
        "idempotency_keys",
        "reading an idempotency key",
        concat!("SELECT ", idempotency_columns!(), " FROM idempotency_keys WHERE key_hash = $1"),
    );
    STORE_RESPONSE: () = Statement::update(
        "idempotency_keys",
        "storing a response",
        "UPDATE idempotency_keys
         SET fingerprint = $2, state = $3, status = $4, headers = coalesce($5::jsonb, '[]'), body = $6
         WHERE key_hash = $1",
    );
    RELEASE: () = Statement::delete(
        "idempotency_keys",
        "releasing an idempotency key",
        "DELETE FROM idempotency_keys WHERE key_hash = $1 AND state = 'running'",
    );
}

#[async_trait]
impl IdempotencyRepo for PgTenantTx {
    async fn claim(
        &mut self,
        key_hash: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let claim = CLAIM.query().bind(key_hash).bind(fingerprint).bind(now).bind(expires_at);
        if claim.rows_affected(self.connection()).await? > 0 {
            return Ok(None);
        }
        let existing = GET.query().bind(key_hash).fetch_optional(self.connection()).await?;
        // If there is no row, the key was released between the two statements. Report the other request as running.
        Ok(Some(existing.unwrap_or(IdempotencyRecord { fingerprint: None, outcome: None, claimed_at: now })))
    }

    async fn complete(&mut self, key_hash: &str, fingerprint: &str, outcome: &StoredOutcome) -> Result<(), StoreError> {
        let (state, response) = match outcome {
            StoredOutcome::Response(response) => ("done", Some(response)),
            StoredOutcome::ResponseNotStored => ("spent", None),
        };
        STORE_RESPONSE
            .query()
            .bind(key_hash)
            .bind(fingerprint)
            .bind(state)
            .bind(response.map(|response| i16::try_from(response.status).unwrap_or(i16::MAX)))
            .bind(response.map(|response| Json(&response.headers)))
            .bind(response.map(|response| &response.body))
            .execute(self.connection())
            .await
    }

    async fn release(&mut self, key_hash: &str) -> Result<(), StoreError> {
        RELEASE.query().bind(key_hash).execute(self.connection()).await
    }
}

impl From<IdempotencyRow> for IdempotencyRecord {
    fn from(row: IdempotencyRow) -> Self {
        let outcome = match (row.state.as_str(), row.status, row.body) {
            ("done", Some(status), Some(body)) => {
                let Json(headers) = row.headers;
                Some(StoredOutcome::Response(StoredResponse { status: status.unsigned_abs(), headers, body }))
            }
            ("spent", ..) => Some(StoredOutcome::ResponseNotStored),
            _ => None,
        };
        Self { fingerprint: row.fingerprint, outcome, claimed_at: row.created_at }
    }
}
