//! Commands on accounts, users, tenants and the audit log.

use super::command;
use crate::audit::sealed::SealedPages;
use crate::audit::{AuditFilter, AuditRecord, Changed};
use crate::decision::{Decision, Verdict};
use crate::ids::{AuditId, TenantId, UserId};
use crate::page::{Page, PageRequest};
use crate::role::{Grant, Operation, Resource, Role};
use crate::tenant::{SettingsChange, SettingsVersion, Tenant, TenantUsage};
use crate::tenant_change;
use crate::text::{Label, Title};
use crate::user::{Account, User};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Read one's own account.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadAccount;
command!(ReadAccount: Read Account as "account.read" -> Account);

/// Read the audit log: admins and auditors their tenant's, others their own rows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAudit {
    /// Which rows.
    pub filter: AuditFilter,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAudit: List AuditLogs as "audit.read" -> Page<AuditRecord>);

/// Take the tenant's sealed log out, in the order of its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ExportAudit {
    /// After this place; 0: from the start.
    pub after: i64,
}
command!(ExportAudit: Export AuditLogs as "audit.export" -> SealedPages);

/// List the tenant's users.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListUsers {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListUsers: List Users as "admin.user_listed" -> Page<User>);

/// Read a user.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetUser {
    /// Which one.
    pub id: UserId,
}
command!(GetUser: Read Users as "admin.user_read" -> User, target User(id));

/// Make a user before the first login.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateUser {
    /// The token issuer that will vouch for the user; `None`: the platform's first configured one.
    pub issuer: Option<String>,
    /// The issuer's stable id of the user.
    pub external_id: Label,
    /// E-mail.
    pub email: Label,
    /// Name.
    pub display_name: Option<Label>,
    /// Role.
    pub role: Role,
}
command!(CreateUser: Create Users as "admin.user_created" -> User, id(user => user.id));

/// Change a user's role or switch the user on or off.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateUser {
    /// Which one.
    pub id: UserId,
    /// New role.
    pub role: Option<Role>,
    /// Pin the role, or leave it to the tokens again.
    pub role_pinned: Option<bool>,
    /// New powers beside the role, in place of all before; never `platform_admin`.
    pub grants: Option<Vec<Grant>>,
    /// Switch on or off.
    pub is_active: Option<bool>,
}
command! {
    UpdateUser: Update Users as "admin.role_changed" -> Changed<User>,
    target User(id),
    outcome(changed => user_change(changed))
}

fn user_change(changed: &Changed<User>) -> Value {
    let facts = |user: &User| {
        json!({
            "role": user.role, "role_pinned": user.role_pinned, "grants": user.grants, "is_active": user.is_active,
        })
    };
    json!({ "before": facts(&changed.before), "after": facts(&changed.after) })
}

/// List the tenants. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTenants {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTenants: List Tenants as "admin.tenant_listed" -> Page<Tenant>);

/// Make a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTenant {
    /// Full name.
    pub name: Title,
    /// Short name: 1 to 64 of `a–z 0–9 -`, starting with a letter or digit.
    pub slug: String,
}
command!(CreateTenant: Create Tenants as "admin.tenant_created" -> Tenant, id(tenant => tenant.id));

/// Switch a tenant on or off, or rename it. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateTenant {
    /// Which one.
    pub id: TenantId,
    /// New name.
    pub name: Option<Title>,
    /// Switch on or off.
    pub is_active: Option<bool>,
}
command! {
    UpdateTenant: Update Tenants as "admin.tenant_changed" -> Changed<Tenant>,
    target Tenant(id),
    outcome(changed => tenant_change::of_tenant(changed))
}

/// Read why something was refused.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadDecision {
    /// The refusal's row in the audit log.
    pub id: AuditId,
}
command!(ReadDecision: Read Decisions as "admin.decision_read" -> AuditRecord, target Decision(id));

/// Ask what would be decided. It changes nothing.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct SimulateDecision {
    /// For whom.
    pub user: UserId,
    /// On what kind of thing.
    pub resource: Resource,
    /// What would be done to it.
    pub operation: Operation,
    /// On which one.
    pub resource_id: Option<Uuid>,
}
command! {
    SimulateDecision: Read Decisions as "admin.decision_simulated" -> Decision,
    target User(user),
    outcome(decision => simulated(decision))
}

fn simulated(decision: &Decision) -> Value {
    json!({
        "allowed": decision.verdict == Verdict::Allowed, "rule": decision.rule(), "reason": decision.verdict.reason(),
    })
}

/// Read the tenant's settings.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadSettings;
command!(ReadSettings: Read TenantSettings as "admin.settings_read" -> Tenant, id(tenant => tenant.id));

/// Change the tenant's settings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateSettings {
    /// How.
    pub change: SettingsChange,
}
command! {
    UpdateSettings: Update TenantSettings as "admin.settings_changed" -> Changed<Tenant>,
    id(changed => changed.after.id),
    outcome(changed => tenant_change::of_tenant(changed))
}

/// Read the states that the tenant's settings had.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListSettingsVersions {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListSettingsVersions: List TenantSettings as "admin.settings_read" -> Page<SettingsVersion>);

/// Read what the tenant uses of what it may.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadUsage;
command!(ReadUsage: Read TenantSettings as "admin.usage_read" -> TenantUsage);

/// Read any tenant's settings. For `platform_admin` only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadTenantSettings {
    /// Whose.
    pub id: TenantId,
}
command!(ReadTenantSettings: Read Tenants as "admin.settings_read" -> Tenant, target Tenant(id));

/// Change any tenant's settings, its limits and quotas among them. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateTenantSettings {
    /// Whose.
    pub id: TenantId,
    /// How.
    pub change: SettingsChange,
}
command! {
    UpdateTenantSettings: Update Tenants as "admin.settings_changed" -> Changed<Tenant>,
    target Tenant(id),
    outcome(changed => tenant_change::of_tenant(changed))
}

/// Read the states that any tenant's settings had. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTenantSettingsVersions {
    /// Whose.
    pub id: TenantId,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTenantSettingsVersions: Read Tenants as "admin.settings_read" -> Page<SettingsVersion>, target Tenant(id));
