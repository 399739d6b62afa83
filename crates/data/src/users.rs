//! Users of the transaction's tenant.

use crate::error::failed;
use crate::rows::{Start, id, json, word};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::assigned_role::AssignedRole;
use domain::ids::UserId;
use domain::login::Login;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{StoreError, UserRepo};
use domain::role::{Grant, Role};
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::user::{Identity, Membership, NewUser, User, UserPatch};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

#[async_trait]
impl UserRepo for PgTenantTx {
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
        match provision(self, id, identity, now).await? {
            Some(new) => Ok(new),
            None => update_from_token(self, identity, now).await,
        }
    }

    async fn record_login(&mut self, user: UserId, login: &Login) -> Result<(), StoreError> {
        let doing = "keeping a login";
        let kept = sqlx::query("SELECT last_login_facts FROM users WHERE id = $1 FOR UPDATE")
            .bind(user.as_uuid())
            .try_map(login_of)
            .fetch_optional(self.connection())
            .await
            .map_err(failed(doing))?;
        if kept.flatten().is_some_and(|kept| login.is_older_than(&kept)) {
            return Ok(());
        }
        sqlx::query("UPDATE users SET last_login_facts = $2 WHERE id = $1")
            .bind(user.as_uuid())
            .bind(Json(login))
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(failed(doing))
    }

    async fn last_login(&mut self, user: UserId) -> Result<Option<Login>, StoreError> {
        sqlx::query("SELECT last_login_facts FROM users WHERE id = $1")
            .bind(user.as_uuid())
            .try_map(login_of)
            .fetch_optional(self.connection())
            .await
            .map(Option::flatten)
            .map_err(failed("reading a login"))
    }

    async fn user_by_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError> {
        sqlx::query_scalar("SELECT user_id FROM sign_in_tokens WHERE tenant_id = app_tenant() AND token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.connection())
            .await
            .map(|id: Option<uuid::Uuid>| id.map(UserId::from_uuid))
            .map_err(failed("looking a token up"))
    }

    async fn record_token(
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

    async fn update(&mut self, id: UserId, patch: UserPatch, now: Timestamp) -> Result<Option<User>, StoreError> {
        let doing = "changing a user";
        let before = sqlx::query("SELECT * FROM users WHERE id = $1 FOR UPDATE")
            .bind(id.as_uuid())
            .try_map(read)
            .fetch_optional(self.connection())
            .await
            .map_err(failed(doing))?;
        let Some(before) = before else { return Ok(None) };
        let given = before.assigned_role().after_admin(patch.role, patch.role_pinned, now);
        sqlx::query(
            "UPDATE users SET role = $2, role_from_token = $3, role_pinned = $4, role_set_at = $5,
                 is_active = coalesce($6, is_active), grants = coalesce($7, grants)
             WHERE id = $1 RETURNING *",
        )
        .bind(id.as_uuid())
        .bind(given.role.as_str())
        .bind(given.from_token)
        .bind(given.pinned)
        .bind(given.set_at)
        .bind(patch.is_active)
        .bind(patch.grants.map(|grants| grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>()))
        .try_map(read)
        .fetch_optional(self.connection())
        .await
        .map_err(failed(doing))
    }

    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError> {
        sqlx::query("SELECT id FROM users WHERE role = 'admin' AND is_active ORDER BY id FOR UPDATE")
            .try_map(|row: PgRow| id(&row, "id"))
            .fetch_all(self.connection())
            .await
            .map_err(failed("counting admins"))
    }
}

/// Makes the user of a token; `None` where there is one. E-mail and name come from the token and are for display only:
/// what is too long is cut.
async fn provision(
    tx: &mut PgTenantTx,
    id: UserId,
    identity: &Identity,
    now: Timestamp,
) -> Result<Option<User>, StoreError> {
    let given = AssignedRole::unset(Role::Viewer).after_token(identity.role_claim());
    sqlx::query(
        "INSERT INTO users (id, tenant_id, issuer, external_id, email, display_name, role, role_from_token, role_set_at,
                            last_login, created_at)
         VALUES ($1, app_tenant(), $2, $3, left(coalesce($4, ''), 255), left($5, 255), $6, $7, $8, $9, $9)
         ON CONFLICT (tenant_id, issuer, external_id) DO NOTHING RETURNING *",
    )
    .bind(id.as_uuid())
    .bind(&identity.issuer)
    .bind(&identity.subject)
    .bind(&identity.email)
    .bind(&identity.name)
    .bind(given.role.as_str())
    .bind(given.from_token)
    .bind(given.set_at)
    .bind(now)
    .try_map(read)
    .fetch_optional(tx.connection())
    .await
    .map_err(failed("making a user"))
}

async fn update_from_token(tx: &mut PgTenantTx, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
    let doing = "signing a user in";
    let known = sqlx::query("SELECT * FROM users WHERE issuer = $1 AND external_id = $2 FOR UPDATE")
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .try_map(read)
        .fetch_one(tx.connection())
        .await
        .map_err(failed(doing))?;
    let given = known.assigned_role().after_token(identity.role_claim());
    sqlx::query(
        "UPDATE users SET email = left(coalesce($2, email), 255), display_name = left(coalesce($3, display_name), 255),
             role = $4, role_from_token = $5, role_set_at = $6, last_login = $7
         WHERE id = $1 RETURNING *",
    )
    .bind(known.id.as_uuid())
    .bind(&identity.email)
    .bind(&identity.name)
    .bind(given.role.as_str())
    .bind(given.from_token)
    .bind(given.set_at)
    .bind(now)
    .try_map(read)
    .fetch_one(tx.connection())
    .await
    .map_err(failed(doing))
}

/// A login that this version cannot read is as good as none.
fn login_of(row: PgRow) -> Result<Option<Login>, sqlx::Error> {
    let facts: Option<Json<serde_json::Value>> = row.try_get("last_login_facts")?;
    Ok(facts.and_then(|Json(facts)| serde_json::from_value(facts).ok()))
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
        role_from_token: row.try_get("role_from_token")?,
        role_pinned: row.try_get("role_pinned")?,
        role_set_at: row.try_get("role_set_at")?,
        // The table allows known words only; one that this version does not know grants nothing.
        grants: grants.iter().filter_map(|grant| grant.parse::<Grant>().ok()).collect(),
        is_active: row.try_get("is_active")?,
        last_login: row.try_get("last_login")?,
        created_at: row.try_get("created_at")?,
    })
}
