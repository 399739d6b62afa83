//! The gate's administrative part: the audit log, users and tenants.

use super::PolicyGate;
use super::pass::Closes;
use crate::caller::Caller;
use crate::error::GateError;
use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::audit::sealed::SealedPages;
use domain::command::{
    CreateTenant, CreateUser, ExportAudit, ListAudit, ListTenants, ListUsers, ReadDecision, SimulateDecision, UpdateTenant,
    UpdateUser,
};
use domain::decision::Decision;
use domain::page::Page;
use domain::tenant::Tenant;
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
}

#[async_trait]
impl AdminGate for PolicyGate {
    async fn list_audit(&self, by: &Caller, command: ListAudit) -> Result<Page<AuditRecord>, GateError> {
        let use_case = Arc::clone(&self.use_cases.audit_trail);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.list(granted).await }).await
    }

    async fn export_audit(&self, by: &Caller, command: ExportAudit) -> Result<SealedPages, GateError> {
        let use_case = Arc::clone(&self.use_cases.audit_trail);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.export(granted).await }).await
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

    async fn create_user(&self, by: &Caller, command: CreateUser) -> Result<User, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.create_user(granted).await }).await
    }

    async fn update_user(&self, by: &Caller, command: UpdateUser) -> Result<User, GateError> {
        let use_case = Arc::clone(&self.use_cases.administration);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update_user(granted).await }).await
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
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.update_tenant(granted).await }).await
    }
}
