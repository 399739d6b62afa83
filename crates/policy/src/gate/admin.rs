//! The gate's administrative part: the audit log, users and tenants.

use super::PolicyGate;
use super::pass::Closes;
use super::traced::{Added, Removed};
use crate::authn::access_token;
use crate::caller::Caller;
use crate::error::GateError;
use async_trait::async_trait;
use domain::access_token::AccessToken;
use domain::audit::AuditRecord;
use domain::audit::sealed::SealedPages;
use domain::command::{
    CreateMapping, CreateTenant, CreateUser, DeleteMapping, ExportAudit, GetUser, IssueAccessToken, ListAccessTokens,
    ListAudit, ListMappings, ListSettingsVersions, ListTenantSettingsVersions, ListTenants, ListUsers, ReadCalls,
    ReadDecision, ReadSettings, ReadTenantSettings, ReadUsage, RevokeAccessToken, SimulateDecision, UpdateSettings,
    UpdateTenant, UpdateTenantSettings, UpdateUser,
};
use domain::decision::Decision;
use domain::ledger::UsageReport;
use domain::mapping::TenantMapping;
use domain::page::Page;
use domain::tenant::{SettingsVersion, Tenant, TenantUsage};
use domain::user::User;
use std::sync::Arc;

/// What administrators and auditors do, under the same rules as everything of [`super::Gate`].
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AdminGate: Send + Sync {
    /// Reads the audit log.
    async fn list_audit(&self, by: &Caller, command: ListAudit) -> Result<Page<AuditRecord>, GateError>;

    /// Takes the tenant's sealed audit log out.
    async fn export_audit(&self, by: &Caller, command: ExportAudit) -> Result<SealedPages, GateError>;
    /// Reads why something was refused.
    async fn read_decision(&self, by: &Caller, command: ReadDecision) -> Result<AuditRecord, GateError>;
    /// Says what would be decided, and changes nothing.
    async fn simulate_decision(&self, by: &Caller, command: SimulateDecision) -> Result<Decision, GateError>;

    /// Lists the tenant's users.
    async fn list_users(&self, by: &Caller, command: ListUsers) -> Result<Page<User>, GateError>;
    /// Reads a user.
    async fn get_user(&self, by: &Caller, command: GetUser) -> Result<User, GateError>;
    /// Makes a user.
    async fn create_user(&self, by: &Caller, command: CreateUser) -> Result<User, GateError>;
    /// Changes a user.
    async fn update_user(&self, by: &Caller, command: UpdateUser) -> Result<User, GateError>;
    /// Lists tenants.
    async fn list_tenants(&self, by: &Caller, command: ListTenants) -> Result<Page<Tenant>, GateError>;
    /// Makes a tenant.
    async fn create_tenant(&self, by: &Caller, command: CreateTenant) -> Result<Tenant, GateError>;
    /// Changes a tenant.
    async fn update_tenant(&self, by: &Caller, command: UpdateTenant) -> Result<Tenant, GateError>;

    /// Reads the tenant's settings.
    async fn settings(&self, by: &Caller, command: ReadSettings) -> Result<Tenant, GateError>;
    /// Changes the tenant's settings.
    async fn change_settings(&self, by: &Caller, command: UpdateSettings) -> Result<Tenant, GateError>;
    /// Reads the states that the tenant's settings had.
    async fn settings_versions(
        &self,
        by: &Caller,
        command: ListSettingsVersions,
    ) -> Result<Page<SettingsVersion>, GateError>;
    /// Reads what the tenant uses.
    async fn usage(&self, by: &Caller, command: ReadUsage) -> Result<TenantUsage, GateError>;
    /// Reads what calls to models came to: the tenant's for admins and auditors, one's own for others.
    async fn read_calls(&self, by: &Caller, command: ReadCalls) -> Result<UsageReport, GateError>;
    /// Reads any tenant's settings.
    async fn tenant_settings(&self, by: &Caller, command: ReadTenantSettings) -> Result<Tenant, GateError>;
    /// Changes any tenant's settings.
    async fn change_tenant_settings(&self, by: &Caller, command: UpdateTenantSettings) -> Result<Tenant, GateError>;
    /// Reads the states that any tenant's settings had.
    async fn tenant_settings_versions(
        &self,
        by: &Caller,
        command: ListTenantSettingsVersions,
    ) -> Result<Page<SettingsVersion>, GateError>;

    /// Makes a personal access token; the text is its secret, which is shown once.
    async fn issue_access_token(
        &self,
        by: &Caller,
        command: IssueAccessToken,
    ) -> Result<(AccessToken, String), GateError>;
    /// Lists personal access tokens.
    async fn list_access_tokens(&self, by: &Caller, command: ListAccessTokens) -> Result<Page<AccessToken>, GateError>;
    /// Revokes a personal access token.
    async fn revoke_access_token(&self, by: &Caller, command: RevokeAccessToken) -> Result<(), GateError>;

    /// Lists the claims that stand for a tenant.
    async fn list_mappings(&self, by: &Caller, command: ListMappings) -> Result<Page<TenantMapping>, GateError>;
    /// Lets a claim stand for a tenant.
    async fn create_mapping(&self, by: &Caller, command: CreateMapping) -> Result<TenantMapping, GateError>;
    /// Lets a claim stand for a tenant no longer.
    async fn delete_mapping(&self, by: &Caller, command: DeleteMapping) -> Result<(), GateError>;
}

#[async_trait]
impl AdminGate for PolicyGate {
    async fn list_audit(&self, by: &Caller, command: ListAudit) -> Result<Page<AuditRecord>, GateError> {
        let use_case = Arc::clone(&self.use_cases.audit_trail);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn export_audit(&self, by: &Caller, command: ExportAudit) -> Result<SealedPages, GateError> {
        let use_case = Arc::clone(&self.use_cases.audit_trail);
        let export = move |granted| async move { use_case.export(granted).await };
        let pages = self.pass(by, command, Closes::Gate, export).await?;
        Ok(self.decided_by_page(by, command, pages))
    }

    async fn read_decision(&self, by: &Caller, command: ReadDecision) -> Result<AuditRecord, GateError> {
        let use_case = Arc::clone(&self.use_cases.audit_trail);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.decision(granted).await }).await
    }

    async fn simulate_decision(&self, by: &Caller, command: SimulateDecision) -> Result<Decision, GateError> {
        let gate = self.clone();
        self.pass(by, command, Closes::Gate, move |granted| async move { gate.simulate(&granted).await }).await
    }

    async fn list_users(&self, by: &Caller, command: ListUsers) -> Result<Page<User>, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list_users(granted).await }).await
    }

    async fn get_user(&self, by: &Caller, command: GetUser) -> Result<User, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.get_user(granted).await }).await
    }

    async fn create_user(&self, by: &Caller, command: CreateUser) -> Result<User, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.create_user(granted).await }).await
    }

    async fn update_user(&self, by: &Caller, command: UpdateUser) -> Result<User, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        let pass =
            self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update_user(granted).await });
        Ok(pass.await?.after)
    }

    async fn list_tenants(&self, by: &Caller, command: ListTenants) -> Result<Page<Tenant>, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list_tenants(granted).await }).await
    }

    async fn create_tenant(&self, by: &Caller, command: CreateTenant) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.create_tenant(granted).await }).await
    }

    async fn update_tenant(&self, by: &Caller, command: UpdateTenant) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        let pass =
            self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update_tenant(granted).await });
        Ok(pass.await?.after)
    }

    async fn settings(&self, by: &Caller, command: ReadSettings) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.settings(granted).await }).await
    }

    async fn change_settings(&self, by: &Caller, command: UpdateSettings) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        let change = move |granted| async move { use_case.change_settings(granted).await };
        Ok(self.pass(by, command, Closes::Gate, change).await?.after)
    }

    async fn settings_versions(
        &self,
        by: &Caller,
        command: ListSettingsVersions,
    ) -> Result<Page<SettingsVersion>, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.versions(granted).await }).await
    }

    async fn usage(&self, by: &Caller, command: ReadUsage) -> Result<TenantUsage, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.usage(granted).await }).await
    }

    async fn read_calls(&self, by: &Caller, command: ReadCalls) -> Result<UsageReport, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.calls(granted).await }).await
    }

    async fn tenant_settings(&self, by: &Caller, command: ReadTenantSettings) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.tenant_settings(granted).await })
            .await
    }

    async fn change_tenant_settings(&self, by: &Caller, command: UpdateTenantSettings) -> Result<Tenant, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        let change = move |granted| async move { use_case.change_tenant_settings(granted).await };
        Ok(self.pass(by, command, Closes::Gate, change).await?.after)
    }

    async fn tenant_settings_versions(
        &self,
        by: &Caller,
        command: ListTenantSettingsVersions,
    ) -> Result<Page<SettingsVersion>, GateError> {
        let use_case = Arc::clone(&self.use_cases.configuration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.tenant_versions(granted).await })
            .await
    }

    async fn issue_access_token(
        &self,
        by: &Caller,
        command: IssueAccessToken,
    ) -> Result<(AccessToken, String), GateError> {
        let secret = access_token::new_secret()?;
        let (use_case, hash) = (Arc::clone(&self.use_cases.access_tokens), self.authn.hash(&secret));
        let issue = move |granted| async move { use_case.issue(granted, hash).await };
        Ok((self.pass(by, command, Closes::Gate, issue).await?, secret))
    }

    async fn list_access_tokens(&self, by: &Caller, command: ListAccessTokens) -> Result<Page<AccessToken>, GateError> {
        let use_case = Arc::clone(&self.use_cases.access_tokens);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn revoke_access_token(&self, by: &Caller, command: RevokeAccessToken) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.access_tokens);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.revoke(granted).await }).await
    }

    async fn list_mappings(&self, by: &Caller, command: ListMappings) -> Result<Page<TenantMapping>, GateError> {
        let use_case = Arc::clone(&self.use_cases.tenant_mappings);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn create_mapping(&self, by: &Caller, command: CreateMapping) -> Result<TenantMapping, GateError> {
        let use_case = Arc::clone(&self.use_cases.tenant_mappings);
        let create = move |granted| async move { use_case.create(granted).await.map(Added) };
        self.pass(by, command, Closes::Gate, create).await.map(|Added(mapping)| mapping)
    }

    async fn delete_mapping(&self, by: &Caller, command: DeleteMapping) -> Result<(), GateError> {
        let use_case = Arc::clone(&self.use_cases.tenant_mappings);
        let delete = move |granted| async move { use_case.delete(granted).await.map(Removed) };
        self.pass(by, command, Closes::Gate, delete).await.map(drop)
    }
}
