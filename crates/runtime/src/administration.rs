//! Administration of tenants and their users.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{
    Command as _, CreateTenant, CreateUser, GetUser, ListTenants, ListUsers, UpdateTenant, UpdateUser,
};
use domain::ids::{AuditId, TenantId, UserId};
use domain::page::Page;
use domain::ports::{Clock, IdGen, NewTenant, Store, TenantDirectory, TenantPatch};
use domain::tenant::Tenant;
use domain::text::{ShortText, Title};
use domain::user::{NewUser, User, UserPatch};
use std::sync::Arc;

/// Use cases for users and tenants.
pub struct AdministrationService {
    store: Arc<dyn Store>,
    directory: Arc<dyn TenantDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    default_issuer: String,
}

impl AdministrationService {
    /// Creates the service. Users that are created without an issuer get `default_issuer`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn TenantDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
        default_issuer: String,
    ) -> Self {
        Self { store, directory, clock, ids, default_issuer }
    }
}

#[async_trait]
impl UseCase<ListUsers> for AdministrationService {
    async fn execute(&self, command: Authorized<ListUsers>) -> Result<Page<User>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let page = tx.users().list(&command.command().page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<CreateUser> for AdministrationService {
    async fn execute(&self, command: Authorized<CreateUser>) -> Result<User, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (_, command) = command.into_parts();
        let user = NewUser {
            id: UserId::from_uuid(self.ids.uuid()),
            issuer: command.issuer.unwrap_or_else(|| self.default_issuer.clone()),
            external_id: command.external_id.into_string(),
            email: command.email.into_string(),
            display_name: command.display_name.map(ShortText::into_string),
            role: command.role,
        };
        let user = tx.users().insert(&user, self.clock.now()).await?;
        tx.defer_commit();
        Ok(user)
    }
}

#[async_trait]
impl UseCase<GetUser> for AdministrationService {
    async fn execute(&self, command: Authorized<GetUser>) -> Result<User, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let user = tx.users().get(command.command().id).await?.ok_or(RuntimeError::NotFound { target: "the user" })?;
        tx.defer_commit();
        Ok(user)
    }
}

#[async_trait]
impl UseCase<UpdateUser> for AdministrationService {
    async fn execute(&self, command: Authorized<UpdateUser>) -> Result<Change<User>, RuntimeError> {
        let UpdateUser { id, role, role_pinned, grants, is_active } = command.command();
        if command.scope().user() == Some(*id) {
            return Err(RuntimeError::Conflict {
                detail: "Admins cannot change their own role or grants or deactivate themselves; another admin can.",
            });
        }
        let mut tx = command.begin(&*self.store).await?;
        let not_found = || RuntimeError::NotFound { target: "the user" };
        // The lock serializes two admins who demote each other at the same time: when the second one gets it, that user
        // is no longer an admin.
        let admins = tx.users().lock_admins().await?;
        let before = tx.users().get(*id).await?.ok_or_else(not_found)?;
        let (role, role_pinned, is_active) = (*role, *role_pinned, *is_active);
        let patch = UserPatch { role, role_pinned, grants: grants.clone(), is_active };
        let after = tx.users().update(*id, patch, self.clock.now()).await?.ok_or_else(not_found)?;
        if admins.iter().all(|admin| admin == id) && admins.contains(id) && !after.is_active_admin() {
            return Err(RuntimeError::Conflict {
                detail: "This is the tenant's last active admin; appoint another one first.",
            });
        }
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<ListTenants> for AdministrationService {
    async fn execute(&self, command: Authorized<ListTenants>) -> Result<Page<Tenant>, RuntimeError> {
        Ok(self.directory.list_tenants(&command.command().page).await?)
    }
}

#[async_trait]
impl UseCase<CreateTenant> for AdministrationService {
    async fn execute(&self, command: Authorized<CreateTenant>) -> Result<Tenant, RuntimeError> {
        let (_, command) = command.into_parts();
        let id = TenantId::from_uuid(self.ids.uuid());
        let tenant = NewTenant { id, name: command.name.into_string(), slug: command.slug };
        Ok(self.directory.create_tenant(tenant).await?)
    }
}

#[async_trait]
impl UseCase<UpdateTenant> for AdministrationService {
    async fn execute(&self, command: Authorized<UpdateTenant>) -> Result<Change<Tenant>, RuntimeError> {
        let (permit, command) = command.into_parts();
        let (audit_id, now) = (AuditId::from_uuid(self.ids.uuid()), self.clock.now());
        let changed_by = permit.tenant_changed_by(UpdateTenant::EVENT, audit_id, now);
        let not_found = || RuntimeError::NotFound { target: "the tenant" };
        let before = self.directory.tenant(&command.id.to_string()).await?.ok_or_else(not_found)?;
        let patch = TenantPatch { name: command.name.map(Title::into_string), is_active: command.is_active };
        let after = self.directory.update_tenant(command.id, patch, &changed_by).await?.ok_or_else(not_found)?;
        Ok(Change { before, after })
    }
}
