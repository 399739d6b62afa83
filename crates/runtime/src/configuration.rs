//! Versioned settings of a tenant, and its usage and quotas.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::audit::Changed;
use domain::authorized::Authorized;
use domain::budget::{end_of_day, first_of_month, start_of_day};
use domain::command::{
    Command as _, ListSettingsVersions, ListTenantSettingsVersions, ReadCalls, ReadSettings, ReadTenantSettings,
    ReadUsage, UpdateSettings, UpdateTenantSettings,
};
use domain::ids::{AuditId, TenantId};
use domain::ledger::{UsageQuery, UsageReport};
use domain::page::Page;
use domain::ports::{Clock, Directory, IdGen, Store};
use domain::tenant::{SettingsChange, SettingsVersion, Tenant, TenantUsage};
use domain::tenant_change::ChangedBy;
use domain::upload::FieldError;
use std::sync::Arc;

/// Maximum number of attempts at a change without an expected version, if concurrent changes conflict.
const MAX_ATTEMPTS: usize = 5;
const NOT_FOUND: RuntimeError = RuntimeError::NotFound { what: "the tenant" };

/// Use cases for settings and usage.
pub struct ConfigurationService {
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl ConfigurationService {
    /// Creates the service.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Self {
        Self { store, directory, clock, ids }
    }

    async fn tenant(&self, id: TenantId) -> Result<Tenant, RuntimeError> {
        self.directory.tenant(&id.to_string()).await?.ok_or(NOT_FOUND)
    }

    async fn change(
        &self,
        id: TenantId,
        change: &SettingsChange,
        by: &ChangedBy,
    ) -> Result<Changed<Tenant>, RuntimeError> {
        for _ in 0..MAX_ATTEMPTS {
            let before = self.tenant(id).await?;
            let current = before.settings_version;
            if change.expected.is_some_and(|expected| expected != current) {
                break;
            }
            let settings = before
                .settings
                .merged(&change.patch)
                .map_err(|_| RuntimeError::Conflict { detail: "This change would make the settings invalid." })?;
            if let Some(after) = self.directory.configure(id, &settings, current, by).await? {
                return Ok(Changed { before, after });
            }
        }
        Err(RuntimeError::Stale)
    }
}

#[async_trait]
impl UseCase<ReadSettings> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadSettings>) -> Result<Tenant, RuntimeError> {
        self.tenant(command.scope().tenant()).await
    }
}

#[async_trait]
impl UseCase<UpdateSettings> for ConfigurationService {
    async fn execute(&self, command: Authorized<UpdateSettings>) -> Result<Changed<Tenant>, RuntimeError> {
        let scope = command.scope();
        let by = ChangedBy { user: scope.user(), row: None };
        self.change(scope.tenant(), &command.command().change, &by).await
    }
}

#[async_trait]
impl UseCase<ListSettingsVersions> for ConfigurationService {
    async fn execute(&self, command: Authorized<ListSettingsVersions>) -> Result<Page<SettingsVersion>, RuntimeError> {
        Ok(self.directory.settings_versions(command.scope().tenant(), &command.command().page).await?)
    }
}

#[async_trait]
impl UseCase<ReadTenantSettings> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadTenantSettings>) -> Result<Tenant, RuntimeError> {
        self.tenant(command.command().id).await
    }
}

#[async_trait]
impl UseCase<UpdateTenantSettings> for ConfigurationService {
    async fn execute(&self, command: Authorized<UpdateTenantSettings>) -> Result<Changed<Tenant>, RuntimeError> {
        let UpdateTenantSettings { id, change } = command.command();
        let (row, now) = (AuditId::from_uuid(self.ids.uuid()), self.clock.now());
        let by = command.permit().tenant_changed_by(UpdateTenantSettings::EVENT, row, now);
        self.change(*id, change, &by).await
    }
}

#[async_trait]
impl UseCase<ListTenantSettingsVersions> for ConfigurationService {
    async fn execute(
        &self,
        command: Authorized<ListTenantSettingsVersions>,
    ) -> Result<Page<SettingsVersion>, RuntimeError> {
        let ListTenantSettingsVersions { id, page } = command.command();
        self.tenant(*id).await?;
        Ok(self.directory.settings_versions(*id, page).await?)
    }
}

#[async_trait]
impl UseCase<ReadUsage> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadUsage>) -> Result<TenantUsage, RuntimeError> {
        let now = self.clock.now();
        let quotas = self.tenant(command.scope().tenant()).await?.settings.quotas;
        let mut tx = self.store.begin(command.scope()).await?;
        let (kept, spending) = (tx.usage().storage().await?, tx.usage().spending(now).await?);
        Ok(TenantUsage { kept, spent: spending.tenant, day_ends: end_of_day(now), quotas })
    }
}

#[async_trait]
impl UseCase<ReadCalls> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadCalls>) -> Result<UsageReport, RuntimeError> {
        let (permit, ReadCalls { from, to, group_by }) = command.into_parts();
        let now = self.clock.now();
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| start_of_day(first_of_month((to - TimeDelta::microseconds(1)).date_naive())));
        if from >= to || to - from > TimeDelta::days(UsageQuery::MAX_DAYS) {
            let detail = format!("must be before /to, by at most {} days", UsageQuery::MAX_DAYS);
            return Err(FieldError { pointer: "/from".to_owned(), detail }.into());
        }
        let (scope, of_tenant) = (permit.scope(), permit.reaches_tenant());
        let user =
            if of_tenant { None } else { Some(scope.user().ok_or(RuntimeError::NotFound { what: "the user" })?) };
        let budgets = self.tenant(scope.tenant()).await?.settings.quotas.budgets();
        let mut tx = self.store.begin(scope).await?;
        let sums = tx.usage().sums(&UsageQuery { from, to, user, group_by }).await?;
        let spending = tx.usage().spending(now).await?;
        Ok(UsageReport { from, to, group_by, sums, budgets, spending, now, of_tenant })
    }
}
