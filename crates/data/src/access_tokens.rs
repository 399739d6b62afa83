//! Personal access tokens of the current tenant: credentials that let a program act as a user, limited to scopes.

use crate::rows::{KeysetParams, non_negative};
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::access_token::{AccessToken, NewAccessToken, TenantAccessToken, TokenScope};
use domain::ids::{AccessTokenId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AccessTokenRepo, StoreError};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    pub(crate) struct AccessTokenRow, columns = access_token_columns {
        id: Uuid,
        tenant_id: Uuid,
        user_id: Uuid,
        name: String,
        scopes: Vec<String>,
        created_at: Timestamp,
        expires_at: Timestamp,
        last_used_at: Option<Timestamp>,
        revoked_at: Option<Timestamp>,
    }
}
#[expect(clippy::single_component_path_imports, reason = "lets `crate::tenant_directory` use the macro")]
pub(crate) use access_token_columns;

statements! {
    INSERT: AccessTokenRow = Statement::insert(
        "access_tokens",
        "storing an access token",
        concat!(
            "INSERT INTO access_tokens (id, tenant_id, user_id, name, token_hash, scopes, created_at, expires_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7) RETURNING ",
            access_token_columns!()
        ),
    );
    GET: AccessTokenRow = Statement::select(
        "access_tokens",
        "reading an access token",
        concat!("SELECT ", access_token_columns!(), " FROM access_tokens WHERE id = $1"),
    );
    LIST: AccessTokenRow = Statement::select(
        "access_tokens",
        "listing access tokens",
        concat!(
            "SELECT ",
            access_token_columns!(),
            " FROM access_tokens
             WHERE ($1::uuid IS NULL OR user_id = $1)
               AND (created_at, id) < (coalesce($2::timestamptz, 'infinity'),
                                       coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $4"
        ),
    );
    COUNT_USABLE: Scalar<i64> = Statement::select(
        "access_tokens",
        "counting access tokens",
        "SELECT count(*) FROM access_tokens WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2",
    );
    REVOKE: AccessTokenRow = Statement::update(
        "access_tokens",
        "revoking an access token",
        concat!(
            "UPDATE access_tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING ",
            access_token_columns!()
        ),
    );
    RECORD_USE: () = Statement::update(
        "access_tokens",
        "recording the use of an access token",
        "UPDATE access_tokens SET last_used_at = $2
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '1 minute')",
    );
}

#[async_trait]
impl AccessTokenRepo for PgTenantTx {
    async fn insert(&mut self, token: &NewAccessToken, now: Timestamp) -> Result<AccessToken, StoreError> {
        let scopes: Vec<_> = token.scopes.iter().map(ToString::to_string).collect();
        INSERT
            .query()
            .bind(token.id.as_uuid())
            .bind(token.user_id.as_uuid())
            .bind(&token.name)
            .bind(&token.hash)
            .bind(scopes)
            .bind(now)
            .bind(token.expires_at)
            .fetch_one(self.connection())
            .await
    }

    async fn get(&mut self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, user: Option<UserId>, page: &PageRequest) -> Result<Page<AccessToken>, StoreError> {
        let keyset = KeysetParams::new(page);
        let rows = LIST
            .query()
            .bind(user.map(|user| user.as_uuid()))
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .fetch_all(self.connection())
            .await?;
        Ok(Page::from_rows(rows, page, |row: &AccessToken| PageKey {
            created_at: row.created_at,
            id: row.id.as_uuid(),
        }))
    }

    async fn count_usable(&mut self, user: UserId, now: Timestamp) -> Result<u64, StoreError> {
        COUNT_USABLE.query().bind(user.as_uuid()).bind(now).scalar(self.connection()).await.map(non_negative)
    }

    async fn revoke(&mut self, id: AccessTokenId, now: Timestamp) -> Result<Option<AccessToken>, StoreError> {
        REVOKE.query().bind(id.as_uuid()).bind(now).fetch_optional(self.connection()).await
    }

    async fn record_use(&mut self, id: AccessTokenId, now: Timestamp) -> Result<(), StoreError> {
        RECORD_USE.query().bind(id.as_uuid()).bind(now).execute(self.connection()).await
    }
}

impl From<AccessTokenRow> for AccessToken {
    fn from(row: AccessTokenRow) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            name: row.name,
            // A scope that this version does not know is dropped: it grants nothing.
            scopes: row.scopes.iter().filter_map(|scope| scope.parse::<TokenScope>().ok()).collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

impl From<AccessTokenRow> for TenantAccessToken {
    fn from(row: AccessTokenRow) -> Self {
        Self { tenant: row.tenant_id.into(), token: row.into() }
    }
}
