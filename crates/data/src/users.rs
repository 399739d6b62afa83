//! Users of the transaction's tenant.

use crate::error::failed;
use crate::rows::{Start, id, json, word};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::UserId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{StoreError, UserRepo};
use domain::role::Grant;
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::user::{Identity, Membership, NewUser, User, UserPatch};
use sqlx::Row;
use sqlx::postgres::PgRow;

#[async_trait]
impl UserRepo for PgTenantTx {
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
        // E-mail and name come from a token and are for display only: what is too long is cut.
        sqlx::query(
            "INSERT INTO users AS known
                 (id, tenant_id, issuer, external_id, email, display_name, role, role_from_token, last_login, created_at)
             VALUES ($1, app_tenant(), $2, $3, left(coalesce($4, ''), 255), left($5, 255), coalesce($6, 'viewer'),
                     $6 IS NOT NULL, $7, $7)
             ON CONFLICT (tenant_id, issuer, external_id) DO UPDATE
             SET email = left(coalesce($4, known.email), 255),
                 display_name = left(coalesce($5, known.display_name), 255),
                 role = coalesce($6, CASE WHEN known.role_from_token THEN 'viewer' ELSE known.role END),
                 role_from_token = known.role_from_token OR $6 IS NOT NULL,
                 last_login = excluded.last_login
             RETURNING *",
        )
        .bind(id.as_uuid())
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .bind(&identity.email)
        .bind(&identity.name)
        .bind(identity.role.map(|role| role.as_str()))
        .bind(now)
        .try_map(read)
        .fetch_one(self.connection())
        .await
        .map_err(failed("signing a user in"))
    }

    async fn user_of_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError> {
        sqlx::query_scalar("SELECT user_id FROM sign_in_tokens WHERE tenant_id = app_tenant() AND token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.connection())
            .await
            .map(|id: Option<uuid::Uuid>| id.map(UserId::from_uuid))
            .map_err(failed("looking a token up"))
    }

    async fn first_use_of_token(
        &mut self,
        user: UserId,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let doing = "recording a token";
        let first = sqlx::query(
            "INSERT INTO sign_in_tokens (tenant_id, token_hash, user_id, expires_at)
             VALUES (app_tenant(), $1, $2, $3) ON CONFLICT (tenant_id, token_hash) DO NOTHING",
        )
        .bind(token_hash)
        .bind(user.as_uuid())
        .bind(expires_at)
        .execute(self.connection())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(failed(doing))?;
        if first {
            // Kept an hour past their end, for clocks that disagree.
            sqlx::query("DELETE FROM sign_in_tokens WHERE user_id = $1 AND expires_at < now() - interval '1 hour' AND token_hash <> $2")
                .bind(user.as_uuid())
                .bind(token_hash)
                .execute(self.connection())
                .await
                .map_err(failed(doing))?;
        }
        Ok(first)
    }

    async fn settings(&mut self) -> Result<TenantSettings, StoreError> {
        let settings = sqlx::query("SELECT config FROM tenants WHERE id = app_tenant()")
            .try_map(|row: PgRow| json(&row, "config"))
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading a tenant's settings"))?;
        Ok(settings.unwrap_or_default())
    }

    async fn membership(&mut self, id: UserId) -> Result<Option<Membership>, StoreError> {
        sqlx::query(
            "SELECT u.*, t.is_active AS tenant_active, t.config AS settings
             FROM users u JOIN tenants t ON t.id = u.tenant_id WHERE u.id = $1",
        )
        .bind(id.as_uuid())
        .try_map(|row: PgRow| {
            Ok(Membership {
                tenant_active: row.try_get("tenant_active")?,
                settings: json(&row, "settings")?,
                user: read(row)?,
            })
        })
        .fetch_optional(self.connection())
        .await
        .map_err(failed("reading a membership"))
    }

    async fn get(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        sqlx::query("SELECT * FROM users WHERE id = $1")
            .bind(id.as_uuid())
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading a user"))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<User>, StoreError> {
        let start = Start::of(page);
        let rows = sqlx::query(
            "SELECT * FROM users
             WHERE (created_at, id) < (coalesce($1, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3",
        )
        .bind(start.at)
        .bind(start.id)
        .bind(start.fetch)
        .try_map(read)
        .fetch_all(self.connection())
        .await
        .map_err(failed("listing users"))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn insert(&mut self, user: &NewUser, now: Timestamp) -> Result<User, StoreError> {
        sqlx::query(
            "INSERT INTO users (id, tenant_id, issuer, external_id, email, display_name, role, created_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7) RETURNING *",
        )
        .bind(user.id.as_uuid())
        .bind(&user.issuer)
        .bind(&user.external_id)
        .bind(&user.email)
        .bind(&user.display_name)
        .bind(user.role.as_str())
        .bind(now)
        .try_map(read)
        .fetch_one(self.connection())
        .await
        .map_err(failed("storing a user"))
    }

    async fn update(&mut self, id: UserId, patch: UserPatch) -> Result<Option<User>, StoreError> {
        sqlx::query(
            "UPDATE users SET role = coalesce($2, role), is_active = coalesce($3, is_active), grants = coalesce($4, grants),
                 role_from_token = role_from_token AND $2 IS NULL
             WHERE id = $1 RETURNING *",
        )
        .bind(id.as_uuid())
        .bind(patch.role.map(|role| role.as_str()))
        .bind(patch.is_active)
        .bind(patch.grants.map(|grants| grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>()))
        .try_map(read)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("changing a user"))
    }

    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError> {
        sqlx::query("SELECT id FROM users WHERE role = 'admin' AND is_active ORDER BY id FOR UPDATE")
            .try_map(|row: PgRow| id(&row, "id"))
            .fetch_all(self.connection())
            .await
            .map_err(failed("counting admins"))
    }
}

fn read(row: PgRow) -> Result<User, sqlx::Error> {
    let grants: Vec<String> = row.try_get("grants")?;
    Ok(User {
        id: id(&row, "id")?,
        issuer: row.try_get("issuer")?,
        external_id: row.try_get("external_id")?,
        email: row.try_get("email")?,
        display_name: row.try_get("display_name")?,
        role: word(&row, "role")?,
        // The table allows known words only; one that this version does not know grants nothing.
        grants: grants.iter().filter_map(|grant| grant.parse::<Grant>().ok()).collect(),
        is_active: row.try_get("is_active")?,
        last_login: row.try_get("last_login")?,
        created_at: row.try_get("created_at")?,
    })
}
