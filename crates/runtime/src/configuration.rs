//! Versioned settings of a tenant, and its usage and quotas.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::budget::{end_of_day, first_of_month, start_of_day};
use domain::command::{
    Command as _, ListSettingsVersions, ListTenantSettingsVersions, ReadModelUsage, ReadQuotaUsage, ReadSettings,
    ReadTenantSettings, UpdateSettings, UpdateTenantSettings,
};
use domain::ids::{AuditId, TenantId};
use domain::ledger::{UsageQuery, UsageReport};
use domain::page::Page;
use domain::ports::{Clock, IdGen, Store, TenantDirectory};
use domain::tenant::{SettingsChange, SettingsVersion, Tenant, TenantUsage};
use domain::tenant_change::ChangedBy;
use domain::upload::FieldError;
use std::sync::Arc;

/// Maximum number of attempts at a change without an expected version, if concurrent changes conflict.
const MAX_ATTEMPTS: usize = 5;
const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the tenant" };

/// Use cases for settings and usage.
pub struct ConfigurationService {
    store: Arc<dyn Store>,
    directory: Arc<dyn TenantDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl ConfigurationService {
    /// Creates the service.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn TenantDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Self {
        Self { store, directory, clock, ids }
    }

    async fn tenant(&self, id: TenantId) -> Result<Tenant, RuntimeError> {
        self.directory.tenant(&id.to_string()).await?.ok_or(NOT_FOUND)
    }

    async fn apply_change(
        &self,
        id: TenantId,
        change: &SettingsChange,
        changed_by: &ChangedBy,
    ) -> Result<Change<Tenant>, RuntimeError> {
        for _ in 0..MAX_ATTEMPTS {
            let before = self.tenant(id).await?;
            let current = before.settings_version;
            if change.expected.is_some_and(|expected| expected != current) {
                break;
            }
            let settings = before
                .settings
                .with_patch(&change.patch)
                .map_err(|_| RuntimeError::Conflict { detail: "This change would make the settings invalid." })?;
            if let Some(after) = self.directory.replace_settings(id, &settings, current, changed_by).await? {
                return Ok(Change { before, after });
            }
        }
        Err(RuntimeError::StaleVersion)
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
    async fn execute(&self, command: Authorized<UpdateSettings>) -> Result<Change<Tenant>, RuntimeError> {
        let scope = command.scope();
        let changed_by = ChangedBy { user: scope.user(), audit_row: None };
        self.apply_change(scope.tenant(), &command.command().change, &changed_by).await
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
    async fn execute(&self, command: Authorized<UpdateTenantSettings>) -> Result<Change<Tenant>, RuntimeError> {
        let UpdateTenantSettings { id, change } = command.command();
        let (audit_id, now) = (AuditId::from_uuid(self.ids.uuid()), self.clock.now());
        let changed_by = command.permit().tenant_changed_by(UpdateTenantSettings::EVENT, audit_id, now);
        self.apply_change(*id, change, &changed_by).await
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
impl UseCase<ReadQuotaUsage> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadQuotaUsage>) -> Result<TenantUsage, RuntimeError> {
        let now = self.clock.now();
        let quotas = self.tenant(command.scope().tenant()).await?.settings.quotas;
        let mut tx = self.store.begin(command.scope()).await?;
        let (storage_usage, spending) = (tx.usage().storage_usage().await?, tx.usage().spending(now).await?);
        Ok(TenantUsage { storage: storage_usage, spending: spending.tenant, day_ends_at: end_of_day(now), quotas })
    }
}

#[async_trait]
impl UseCase<ReadModelUsage> for ConfigurationService {
    async fn execute(&self, command: Authorized<ReadModelUsage>) -> Result<UsageReport, RuntimeError> {
        let (permit, ReadModelUsage { from, to, group_by }) = command.into_parts();
        let now = self.clock.now();
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| start_of_day(first_of_month((to - TimeDelta::microseconds(1)).date_naive())));
        if from >= to || to - from > TimeDelta::days(UsageQuery::MAX_DAYS) {
            let detail = format!("must be before /to, by at most {} days", UsageQuery::MAX_DAYS);
            return Err(FieldError { pointer: "/from".to_owned(), detail }.into());
        }
        let (scope, is_tenant_wide) = (permit.scope(), permit.covers_tenant());
        let user = if is_tenant_wide {
            None
        } else {
            Some(scope.user().ok_or(RuntimeError::NotFound { target: "the user" })?)
        };
        let budgets = self.tenant(scope.tenant()).await?.settings.quotas.budgets();
        let mut tx = self.store.begin(scope).await?;
        let aggregates = tx.usage().aggregate_calls(&UsageQuery { from, to, user, group_by }).await?;
        let spending = tx.usage().spending(now).await?;
        Ok(UsageReport { from, to, group_by, aggregates, budgets, spending, now, is_tenant_wide })
    }
}
