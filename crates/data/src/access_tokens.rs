//! Personal access tokens of the transaction's tenant.

use crate::error::failed;
use crate::rows::{Start, id};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::access_token::{AccessToken, NewAccessToken, TokenScope};
use domain::ids::{AccessTokenId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AccessTokenRepo, StoreError};
use domain::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

#[async_trait]
impl AccessTokenRepo for PgTenantTx {
    async fn insert(&mut self, token: &NewAccessToken, now: Timestamp) -> Result<AccessToken, StoreError> {
        let scopes: Vec<_> = token.scopes.iter().map(ToString::to_string).collect();
        sqlx::query(
            "INSERT INTO access_tokens (id, tenant_id, user_id, name, token_hash, scopes, created_at, expires_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7) RETURNING *",
        )
        .bind(token.id.as_uuid())
        .bind(token.user_id.as_uuid())
        .bind(&token.name)
        .bind(&token.hash)
        .bind(scopes)
        .bind(now)
        .bind(token.expires_at)
        .try_map(read)
        .fetch_one(self.connection())
        .await
        .map_err(failed("storing an access token"))
    }

    async fn get(&mut self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError> {
        sqlx::query("SELECT * FROM access_tokens WHERE id = $1")
            .bind(id.as_uuid())
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading an access token"))
    }

    async fn list(&mut self, user: Option<UserId>, page: &PageRequest) -> Result<Page<AccessToken>, StoreError> {
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT * FROM access_tokens
             WHERE ($1::uuid IS NULL OR user_id = $1)
               AND (created_at, id) < (coalesce($2, 'infinity'),
                                       coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $4",
        )
        .bind(user.map(|user| user.as_uuid()))
        .bind(start.at)
        .bind(start.id)
        .bind(start.fetch)
        .try_map(read)
        .fetch_all(self.connection())
        .await
        .map_err(failed("listing access tokens"))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn count_usable(&mut self, user: UserId, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query_scalar(
            "SELECT count(*) FROM access_tokens WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2",
        )
        .bind(user.as_uuid())
        .bind(now)
        .fetch_one(self.connection())
        .await
        .map(i64::unsigned_abs)
        .map_err(failed("counting access tokens"))
    }

    async fn revoke(&mut self, id: AccessTokenId, now: Timestamp) -> Result<Option<AccessToken>, StoreError> {
        sqlx::query("UPDATE access_tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING *")
            .bind(id.as_uuid())
            .bind(now)
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("revoking an access token"))
    }

    async fn record_use(&mut self, id: AccessTokenId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE access_tokens SET last_used_at = $2
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2 - interval '1 minute')",
        )
        .bind(id.as_uuid())
        .bind(now)
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("recording the use of an access token"))
    }
}

/// A token's row.
pub(crate) fn read(row: PgRow) -> Result<AccessToken, sqlx::Error> {
    let scopes: Vec<String> = row.try_get("scopes")?;
    Ok(AccessToken {
        id: id(&row, "id")?,
        user_id: id(&row, "user_id")?,
        name: row.try_get("name")?,
        // A scope that this version does not know allows nothing.
        scopes: scopes.iter().filter_map(|scope| scope.parse::<TokenScope>().ok()).collect(),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
