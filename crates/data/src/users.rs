//! Users of the current tenant: sign-in, roles and grants, and hashes of the tokens already seen, so that each token is
//! recorded as a login only once.

use crate::rows::{KeysetParams, TextEnum};
use crate::statement::{Joined, Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::assigned_role::AssignedRole;
use domain::ids::UserId;
use domain::login::LoginClaims;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{StoreError, UserRepo};
use domain::role::{Grant, Role};
use domain::team::{TeamRole, TeamStanding};
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::user::{Identity, Membership, NewUser, User, UserPatch};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    struct UserRow, columns = user_columns {
        id: Uuid,
        issuer: String,
        external_id: String,
        email: String,
        display_name: Option<String>,
        role: TextEnum<Role>,
        role_from_token: bool,
        role_pinned: bool,
        role_set_at: Option<Timestamp>,
        grants: Vec<String>,
        is_active: bool,
        last_login: Option<Timestamp>,
        created_at: Timestamp,
    }
}

row! {
    /// What authorization needs besides the user: the tenant's state, and whether the session or personal access token
    /// in use is revoked.
    struct TenantAndSessionRow {
        tenant_active: bool,
        tenant_name: String,
        settings: Json<TenantSettings>,
        session_revoked: bool,
        in_team: bool,
        team_role: Option<TextEnum<TeamRole>>,
        is_guest: bool,
    }
}

statements! {
    GET_LOGIN: Scalar<Option<Json<Value>>> = Statement::select(
        "users",
        "reading a login",
        "SELECT last_login_facts FROM users WHERE id = $1",
    );
    LOCK_LOGIN: Scalar<Option<Json<Value>>> = Statement::select(
        "users",
        "recording a login",
        "SELECT last_login_facts FROM users WHERE id = $1 FOR UPDATE",
    );
    RECORD_LOGIN: () = Statement::update(
        "users",
        "recording a login",
        "UPDATE users SET last_login_facts = $2 WHERE id = $1",
    );
    USER_BY_TOKEN: Scalar<Uuid> = Statement::select(
        "sign_in_tokens",
        "looking up a token",
        "SELECT user_id FROM sign_in_tokens WHERE tenant_id = app_tenant() AND token_hash = $1",
    );
    MARK_TOKEN_SEEN: () = Statement::insert(
        "sign_in_tokens",
        "recording a token",
        "INSERT INTO sign_in_tokens (tenant_id, token_hash, user_id, expires_at)
         VALUES (app_tenant(), $1, $2, $3) ON CONFLICT (tenant_id, token_hash) DO NOTHING",
    );
    /// Tokens are kept for an hour after they expire, to allow for clock skew.
    DELETE_EXPIRED_TOKENS: () = Statement::delete(
        "sign_in_tokens",
        "recording a token",
        "DELETE FROM sign_in_tokens
         WHERE user_id = $1 AND expires_at < now() - interval '1 hour' AND token_hash <> $2",
    );
    SETTINGS: Scalar<Json<TenantSettings>> = Statement::select(
        "tenants",
        "reading a tenant's settings",
        "SELECT config FROM tenants WHERE id = app_tenant()",
    );
    MEMBERSHIP: Joined<UserRow, TenantAndSessionRow> = Statement::select(
        "users",
        "reading a membership",
        concat!(
            "SELECT ",
            user_columns!("u."),
            ", t.is_active AS tenant_active, t.name AS tenant_name, t.config AS settings,
               coalesce(s.revoked_at, a.revoked_at) IS NOT NULL AS session_revoked,
               app_team() IS NOT NULL AS in_team, CASE WHEN tt.deleted_at IS NULL THEN m.team_role END AS team_role,
               u.home_tenant_id IS NOT NULL AS is_guest
             FROM users u JOIN tenants t ON t.id = u.tenant_id
             LEFT JOIN team_memberships m ON m.tenant_id = u.tenant_id AND m.team_id = app_team() AND m.user_id = u.id
                 AND m.left_at IS NULL
             LEFT JOIN teams tt ON tt.tenant_id = m.tenant_id AND tt.id = m.team_id
             LEFT JOIN sessions s ON s.tenant_id = u.tenant_id AND s.id = $2
             LEFT JOIN access_tokens a ON a.tenant_id = u.tenant_id AND a.id = $2
             WHERE u.id = $1"
        ),
    );
    GET: UserRow = Statement::select(
        "users",
        "reading a user",
        concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1"),
    );
    LIST: UserRow = Statement::select(
        "users",
        "listing users",
        concat!(
            "SELECT ",
            user_columns!(),
            " FROM users
             WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    INSERT: UserRow = Statement::insert(
        "users",
        "storing a user",
        concat!(
            "INSERT INTO users (id, tenant_id, issuer, external_id, email, display_name, role, created_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7) RETURNING ",
            user_columns!()
        ),
    );
    LOCK: UserRow = Statement::select(
        "users",
        "changing a user",
        concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 FOR UPDATE"),
    );
    UPDATE: UserRow = Statement::update(
        "users",
        "changing a user",
        concat!(
            "UPDATE users SET role = $2, role_from_token = $3, role_pinned = $4, role_set_at = $5,
                 is_active = coalesce($6, is_active), grants = coalesce($7, grants)
             WHERE id = $1 RETURNING ",
            user_columns!()
        ),
    );
    ACTIVE_APPROVERS: UserRow = Statement::select(
        "users",
        "listing approvers",
        concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE is_active AND (id = ANY($1) OR ($2 AND 'approver' = ANY(grants)))
             ORDER BY id LIMIT 500"
        ),
    );
    LOCK_ADMINS: Scalar<Uuid> = Statement::select(
        "users",
        "locking the admins",
        "SELECT id FROM users WHERE role = 'admin' AND is_active ORDER BY id FOR UPDATE",
    );
    /// The email address and the name come from the token. They decide on nothing but whom an invitation reaches, so
    /// they may be truncated to the length of their columns.
    PROVISION: UserRow = Statement::insert(
        "users",
        "provisioning a user",
        concat!(
            "INSERT INTO users (id, tenant_id, issuer, external_id, email, display_name, role, role_from_token,
                                role_set_at, last_login, created_at)
             VALUES ($1, app_tenant(), $2, $3, left(coalesce($4, ''), 255), left($5, 255), $6, $7, $8, $9, $9)
             ON CONFLICT (tenant_id, issuer, external_id) DO NOTHING RETURNING ",
            user_columns!()
        ),
    );
    LOCK_BY_IDENTITY: UserRow = Statement::select(
        "users",
        "signing a user in",
        concat!("SELECT ", user_columns!(), " FROM users WHERE issuer = $1 AND external_id = $2 FOR UPDATE"),
    );
    UPDATE_FROM_TOKEN: UserRow = Statement::update(
        "users",
        "signing a user in",
        concat!(
            "UPDATE users
             SET email = left(coalesce($2, email), 255), display_name = left(coalesce($3, display_name), 255),
                 role = $4, role_from_token = $5, role_set_at = $6, last_login = $7
             WHERE id = $1 RETURNING ",
            user_columns!()
        ),
    );
}

#[async_trait]
impl UserRepo for PgTenantTx {
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
        match provision(self, id, identity, now).await? {
            Some(new) => Ok(new),
            None => update_from_token(self, identity, now).await,
        }
    }

    async fn record_login(&mut self, user: UserId, login: &LoginClaims) -> Result<(), StoreError> {
        let current_login = LOCK_LOGIN.query().bind(user.as_uuid()).optional_scalar(self.connection()).await?;
        if current_login.flatten().and_then(decode_login).is_some_and(|known| login.is_older_than(&known)) {
            return Ok(());
        }
        RECORD_LOGIN.query().bind(user.as_uuid()).bind(Json(login)).execute(self.connection()).await
    }

    async fn last_login_claims(&mut self, user: UserId) -> Result<Option<LoginClaims>, StoreError> {
        let stored_login = GET_LOGIN.query().bind(user.as_uuid()).optional_scalar(self.connection()).await?;
        Ok(stored_login.flatten().and_then(decode_login))
    }

    async fn user_by_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError> {
        let id = USER_BY_TOKEN.query().bind(token_hash).optional_scalar(self.connection()).await?;
        Ok(id.map(UserId::from_uuid))
    }

    async fn mark_token_seen(
        &mut self,
        user: UserId,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let insert = MARK_TOKEN_SEEN.query().bind(token_hash).bind(user.as_uuid()).bind(expires_at);
        let is_new = insert.rows_affected(self.connection()).await? > 0;
        if is_new {
            let delete = DELETE_EXPIRED_TOKENS.query().bind(user.as_uuid()).bind(token_hash);
            delete.execute(self.connection()).await?;
        }
        Ok(is_new)
    }

    async fn tenant_settings(&mut self) -> Result<TenantSettings, StoreError> {
        let settings = SETTINGS.query().optional_scalar(self.connection()).await?;
        Ok(settings.map(|Json(settings)| settings).unwrap_or_default())
    }

    async fn membership(&mut self, id: UserId) -> Result<Option<Membership>, StoreError> {
        let session = self.scope().session().map(|id| id.as_uuid());
        MEMBERSHIP.query().bind(id.as_uuid()).bind(session).fetch_optional(self.connection()).await
    }

    async fn get(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<User>, StoreError> {
        let keyset = KeysetParams::new(page);
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.fetch_all(self.connection()).await?;
        Ok(Page::from_rows(rows, page, |row: &User| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn insert(&mut self, user: &NewUser, now: Timestamp) -> Result<User, StoreError> {
        INSERT
            .query()
            .bind(user.id.as_uuid())
            .bind(&user.issuer)
            .bind(&user.external_id)
            .bind(&user.email)
            .bind(&user.display_name)
            .bind(user.role.as_str())
            .bind(now)
            .fetch_one(self.connection())
            .await
    }

    async fn update(&mut self, id: UserId, patch: UserPatch, now: Timestamp) -> Result<Option<User>, StoreError> {
        let before = LOCK.query().bind(id.as_uuid()).fetch_optional::<User>(self.connection()).await?;
        let Some(before) = before else { return Ok(None) };
        let assigned_role = before.assigned_role().with_admin_change(patch.role, patch.role_pinned, now);
        UPDATE
            .query()
            .bind(id.as_uuid())
            .bind(assigned_role.role.as_str())
            .bind(assigned_role.from_token)
            .bind(assigned_role.pinned)
            .bind(assigned_role.set_at)
            .bind(patch.is_active)
            .bind(patch.grants.map(|grants| grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>()))
            .fetch_optional(self.connection())
            .await
    }

    async fn active_approvers(&mut self, named: &[UserId], with_grant: bool) -> Result<Vec<User>, StoreError> {
        let named: Vec<Uuid> = named.iter().map(UserId::as_uuid).collect();
        ACTIVE_APPROVERS.query().bind(named).bind(with_grant).fetch_all(self.connection()).await
    }

    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError> {
        let ids = LOCK_ADMINS.query().scalars(self.connection()).await?;
        Ok(ids.into_iter().map(UserId::from_uuid).collect())
    }
}

/// Creates the user that a token identifies. Returns `None` if the user already exists.
async fn provision(
    tx: &mut PgTenantTx,
    id: UserId,
    identity: &Identity,
    now: Timestamp,
) -> Result<Option<User>, StoreError> {
    let assigned_role = AssignedRole::initial(Role::Viewer).with_role_claim(identity.role_claim());
    PROVISION
        .query()
        .bind(id.as_uuid())
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .bind(&identity.email)
        .bind(&identity.name)
        .bind(assigned_role.role.as_str())
        .bind(assigned_role.from_token)
        .bind(assigned_role.set_at)
        .bind(now)
        .fetch_optional(tx.connection())
        .await
}

async fn update_from_token(tx: &mut PgTenantTx, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
    let lock = LOCK_BY_IDENTITY.query().bind(&identity.issuer).bind(&identity.subject);
    let existing_user: User = lock.fetch_one(tx.connection()).await?;
    let assigned_role = existing_user.assigned_role().with_role_claim(identity.role_claim());
    UPDATE_FROM_TOKEN
        .query()
        .bind(existing_user.id.as_uuid())
        .bind(&identity.email)
        .bind(&identity.name)
        .bind(assigned_role.role.as_str())
        .bind(assigned_role.from_token)
        .bind(assigned_role.set_at)
        .bind(now)
        .fetch_one(tx.connection())
        .await
}

/// Decodes the stored data of a login; `None` if it was stored in a form that this version cannot read.
fn decode_login(Json(stored_login): Json<Value>) -> Option<LoginClaims> {
    serde_json::from_value(stored_login).ok()
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id.into(),
            issuer: row.issuer,
            external_id: row.external_id,
            email: row.email,
            display_name: row.display_name,
            role: row.role.0,
            role_from_token: row.role_from_token,
            role_pinned: row.role_pinned,
            role_set_at: row.role_set_at,
            // A constraint limits the column to known grants. One that this version does not know is dropped.
            grants: row.grants.iter().filter_map(|grant| grant.parse::<Grant>().ok()).collect(),
            is_active: row.is_active,
            last_login: row.last_login,
            created_at: row.created_at,
        }
    }
}

impl From<Joined<UserRow, TenantAndSessionRow>> for Membership {
    fn from(Joined(user, tenant): Joined<UserRow, TenantAndSessionRow>) -> Self {
        let TenantAndSessionRow { tenant_active, tenant_name, settings: Json(settings), session_revoked, .. } = tenant;
        let role = tenant.team_role.map(|TextEnum(role)| role);
        let team = tenant.in_team.then_some(TeamStanding {
            role: role.filter(|_| !tenant.is_guest),
            guest_role: role.filter(|_| tenant.is_guest),
            guest_clearance: None,
        });
        Self { user: user.into(), tenant_active, tenant_name, settings, session_revoked, team }
    }
}
