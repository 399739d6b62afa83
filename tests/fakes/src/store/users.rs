//! The in-memory repository of users, logins and tokens.

use super::{InMemoryTx, Row, page_of};
use async_trait::async_trait;
use domain::assigned_role::AssignedRole;
use domain::ids::UserId;
use domain::login::LoginClaims;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{StoreError, UserRepo};
use domain::role::{Grant, Role};
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::user::{Identity, Membership, NewUser, User, UserPatch};

#[async_trait]
impl UserRepo for InMemoryTx {
    async fn sign_in(&mut self, id: UserId, identity: &Identity, now: Timestamp) -> Result<User, StoreError> {
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let state = self.write().await?;
        let is_same_identity = |u: &User| u.issuer == identity.issuer && u.external_id == identity.subject;
        if let Some(row) = state.users.iter_mut().find(|r| in_tenant(r) && is_same_identity(&r.value)) {
            let user = &mut row.value;
            let assigned = user.assigned_role().with_role_claim(identity.role_claim());
            set_role(user, assigned);
            user.email = identity.email.clone().unwrap_or_else(|| user.email.clone());
            user.display_name = identity.name.clone().or(user.display_name.take());
            user.last_login = Some(now);
            return Ok(user.clone());
        }
        let new = NewUser {
            id,
            issuer: identity.issuer.clone(),
            external_id: identity.subject.clone(),
            email: identity.email.clone().unwrap_or_default(),
            display_name: identity.name.clone(),
            role: Role::Viewer,
        };
        let mut value = User { last_login: Some(now), ..new_user_row(&new, now) };
        let assigned = value.assigned_role().with_role_claim(identity.role_claim());
        set_role(&mut value, assigned);
        state.users.push(Row { tenant, user: None, value: value.clone() });
        Ok(value)
    }

    async fn record_login(&mut self, user: UserId, login: &LoginClaims) -> Result<(), StoreError> {
        let state = self.write().await?;
        if !state.logins.get(&user).is_some_and(|previous| login.is_older_than(previous)) {
            state.logins.insert(user, login.clone());
        }
        Ok(())
    }

    async fn last_login_claims(&mut self, user: UserId) -> Result<Option<LoginClaims>, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| {
            let user_exists = s.users.iter().any(|r| in_tenant(r) && r.value.id == user);
            s.logins.get(&user).filter(|_| user_exists).cloned()
        }))
    }

    async fn mark_token_seen(
        &mut self,
        user: UserId,
        token_hash: &str,
        _expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        let is_new = !state.token_users.contains_key(&(tenant, token_hash.to_owned()));
        state.token_users.entry((tenant, token_hash.to_owned())).or_insert(user);
        Ok(is_new)
    }

    async fn user_by_token(&mut self, token_hash: &str) -> Result<Option<UserId>, StoreError> {
        let key = (self.tenant(), token_hash.to_owned());
        Ok(self.read(|s| s.token_users.get(&key).copied()))
    }

    async fn tenant_settings(&mut self) -> Result<TenantSettings, StoreError> {
        let tenant = self.tenant();
        let settings = self.read(|s| s.tenants.iter().find(|t| t.id == tenant).map(|t| t.settings.clone()));
        Ok(settings.unwrap_or_default())
    }

    async fn membership(&mut self, id: UserId) -> Result<Option<Membership>, StoreError> {
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let found = self.read(|s| {
            let is_visible = |r: &&Row<User>| in_tenant(r) && r.value.id == id && s.teams.shows_user(&self.scope, id);
            let user = s.users.iter().find(is_visible)?.value.clone();
            let tenant = s.tenants.iter().find(|t| t.id == tenant)?;
            let (tenant_name, settings) = (tenant.name.clone(), tenant.settings.clone());
            let session_revoked = s.is_session_revoked(&self.scope);
            let team = self.scope.team().map(|team| s.teams.standing(team, id, self.scope.tenant()));
            Some(Membership { user, tenant_active: tenant.is_active, tenant_name, settings, session_revoked, team })
        });
        Ok(found)
    }

    async fn get(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| {
            let is_visible = |r: &&Row<User>| in_tenant(r) && r.value.id == id && s.teams.shows_user(&self.scope, id);
            s.users.iter().find(is_visible).map(|r| r.value.clone())
        }))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<User>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = self.read(|s| {
            let is_visible = |r: &&Row<User>| in_tenant(r) && s.teams.shows_user(&self.scope, r.value.id);
            s.users.iter().filter(is_visible).map(|r| r.value.clone()).collect()
        });
        Ok(page_of(rows, page, |row: &User| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn insert(&mut self, user: &NewUser, now: Timestamp) -> Result<User, StoreError> {
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let state = self.write().await?;
        let is_same_identity = |u: &User| u.issuer == user.issuer && u.external_id == user.external_id;
        if state.users.iter().any(|r| in_tenant(r) && is_same_identity(&r.value)) {
            return Err(StoreError::Conflict { reason: "A user with this issuer and external id already exists." });
        }
        let value = new_user_row(user, now);
        state.users.push(Row { tenant, user: None, value: value.clone() });
        Ok(value)
    }

    async fn update(&mut self, id: UserId, patch: UserPatch, now: Timestamp) -> Result<Option<User>, StoreError> {
        let in_tenant = self.tenant_filter();
        let state = self.write().await?;
        let Some(row) = state.users.iter_mut().find(|r| in_tenant(r) && r.value.id == id) else { return Ok(None) };
        let assigned = row.value.assigned_role().with_admin_change(patch.role, patch.role_pinned, now);
        set_role(&mut row.value, assigned);
        row.value.is_active = patch.is_active.unwrap_or(row.value.is_active);
        row.value.grants = patch.grants.unwrap_or_else(|| row.value.grants.clone());
        Ok(Some(row.value.clone()))
    }

    async fn active_approvers(&mut self, named: &[UserId], with_grant: bool) -> Result<Vec<User>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<User>| {
            let user = &row.value;
            let is_approver = named.contains(&user.id) || (with_grant && user.grants.contains(&Grant::Approver));
            in_tenant(row) && user.is_active && is_approver
        };
        let mut found: Vec<User> = self.read(|s| s.users.iter().filter(is_wanted).map(|r| r.value.clone()).collect());
        found.sort_by_key(|user| user.id);
        Ok(found)
    }

    async fn lock_admins(&mut self) -> Result<Vec<UserId>, StoreError> {
        let in_tenant = self.tenant_filter();
        let admins = self.write().await?.users.iter().filter(|r| in_tenant(r) && r.value.role == Role::Admin);
        Ok(admins.filter(|r| r.value.is_active).map(|r| r.value.id).collect())
    }
}

fn set_role(user: &mut User, assigned: AssignedRole) {
    let AssignedRole { role, from_token, pinned, set_at } = assigned;
    (user.role, user.role_from_token, user.role_pinned, user.role_set_at) = (role, from_token, pinned, set_at);
}

pub(super) fn new_user_row(new: &NewUser, now: Timestamp) -> User {
    let NewUser { id, issuer, external_id, email, display_name, role } = new.clone();
    User {
        id,
        issuer,
        external_id,
        email,
        display_name,
        role,
        role_from_token: false,
        role_pinned: false,
        role_set_at: None,
        grants: Vec::new(),
        is_active: true,
        last_login: None,
        created_at: now,
    }
}
