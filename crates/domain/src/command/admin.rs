//! Commands on accounts, users, tenants and the audit log.

use super::command;
use crate::audit::chain::ChainPages;
use crate::audit::{AuditFilter, AuditRecord, Change};
use crate::decision::{Decision, Verdict};
use crate::ids::{AuditId, TenantId, UserId};
use crate::page::{Page, PageRequest};
use crate::role::{Grant, Operation, Resource, Role};
use crate::tenant::{SettingsChange, SettingsVersion, Tenant, TenantUsage};
use crate::tenant_change;
use crate::text::{ShortText, Title};
use crate::user::{Account, User};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Read the caller's own account.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadAccount;
command!(ReadAccount: Read Account as "account.read" -> Account, transaction Shared);

/// Read the audit log: the tenant's for admins and auditors, their own rows for others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAudit {
    /// Conditions that all must hold.
    pub filter: AuditFilter,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAudit: List AuditLogs as "audit.read" -> Page<AuditRecord>);

/// Export the tenant's audit log, in the order of its hash chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ExportAudit {
    /// Sequence number after which the export starts; 0 exports the whole chain.
    pub after: i64,
}
command!(ExportAudit: Export AuditLogs as "audit.export" -> ChainPages);

/// List the tenant's users.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListUsers {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListUsers: List Users as "admin.user_listed" -> Page<User>, transaction Shared);

/// Read a user.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetUser {
    /// The user; must belong to the caller's tenant.
    pub id: UserId,
}
command!(GetUser: Read Users as "admin.user_read" -> User, target User(id), transaction Shared);

/// Create a user before the first login.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateUser {
    /// Token issuer of the user; `None` takes the first configured one.
    pub issuer: Option<String>,
    /// The issuer's stable id for the user (Entra ID: `oid`).
    pub external_id: ShortText,
    /// For display only; never used for authorization.
    pub email: ShortText,
    /// For display; the user's tokens may change it.
    pub display_name: Option<ShortText>,
    /// Role within the tenant.
    pub role: Role,
}
command!(CreateUser: Create Users as "admin.user_created" -> User, transaction Shared, id(user => user.id));

/// Change a user's role or grants, or activate or deactivate the user.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateUser {
    /// The user; must belong to the caller's tenant and not be the caller.
    pub id: UserId,
    /// New role; it is pinned unless `role_pinned` says otherwise.
    pub role: Option<Role>,
    /// Whether tokens may no longer change the role.
    pub role_pinned: Option<bool>,
    /// New grants, which replace all old ones; never `platform_admin`.
    pub grants: Option<Vec<Grant>>,
    /// Whether the user may sign in.
    pub is_active: Option<bool>,
}
command! {
    UpdateUser: Update Users as "admin.role_changed" -> Change<User>,
    target User(id),
    transaction Shared,
    outcome(changed => user_change_metadata(changed))
}

fn user_change_metadata(change: &Change<User>) -> Value {
    let user_fields = |user: &User| {
        json!({
            "role": user.role, "role_pinned": user.role_pinned, "grants": user.grants, "is_active": user.is_active,
        })
    };
    json!({ "before": user_fields(&change.before), "after": user_fields(&change.after) })
}

/// List the tenants. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTenants {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTenants: List Tenants as "admin.tenant_listed" -> Page<Tenant>);

/// Create a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTenant {
    /// Full name; unique on the platform.
    pub name: Title,
    /// Short name: 1 to 64 of `a–z 0–9 -`, starting with a letter or digit; unique.
    pub slug: String,
}
command!(CreateTenant: Create Tenants as "admin.tenant_created" -> Tenant, id(tenant => tenant.id));

/// Activate, deactivate or rename a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateTenant {
    /// The tenant to change.
    pub id: TenantId,
    /// New full name; unique on the platform.
    pub name: Option<Title>,
    /// Whether its users may sign in.
    pub is_active: Option<bool>,
}
command! {
    UpdateTenant: Update Tenants as "admin.tenant_changed" -> Change<Tenant>,
    target Tenant(id),
    outcome(changed => tenant_change::tenant_change_metadata(changed))
}

/// Read why a recorded request was refused.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadDecision {
    /// The refusal's row in the audit log.
    pub id: AuditId,
}
command!(ReadDecision: Read Decisions as "admin.decision_read" -> AuditRecord, target Decision(id));

/// Simulate a decision of the policy gate; nothing is executed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct SimulateDecision {
    /// The user on whose behalf the decision is simulated.
    pub user: UserId,
    /// Kind of resource.
    pub resource: Resource,
    /// Operation on the resource.
    pub operation: Operation,
    /// Id of one resource; `None` evaluates only the matrix.
    pub resource_id: Option<Uuid>,
}
command! {
    SimulateDecision: Read Decisions as "admin.decision_simulated" -> Decision,
    target User(user),
    outcome(decision => decision_metadata(decision))
}

fn decision_metadata(decision: &Decision) -> Value {
    json!({
        "allowed": decision.verdict == Verdict::Allowed, "rule": decision.refusing_rule(),
        "reason": decision.verdict.reason(),
    })
}

/// Read the tenant's settings.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadSettings;
command!(ReadSettings: Read TenantSettings as "admin.settings_read" -> Tenant, id(tenant => tenant.id));

/// Change the tenant's settings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateSettings {
    /// The merge patch, and the version that it applies to.
    pub change: SettingsChange,
}
command! {
    UpdateSettings: Update TenantSettings as "admin.settings_changed" -> Change<Tenant>,
    id(changed => changed.after.id),
    outcome(changed => tenant_change::tenant_change_metadata(changed))
}

/// List the earlier versions of the tenant's settings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListSettingsVersions {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListSettingsVersions: List TenantSettings as "admin.settings_read" -> Page<SettingsVersion>);

/// Read the tenant's quotas and their usage.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadQuotaUsage;
command!(ReadQuotaUsage: Read TenantSettings as "admin.usage_read" -> TenantUsage);

/// Read any tenant's settings. For `platform_admin` only.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadTenantSettings {
    /// The tenant whose settings are read.
    pub id: TenantId,
}
command!(ReadTenantSettings: Read Tenants as "admin.settings_read" -> Tenant, target Tenant(id));

/// Change any tenant's settings, including its limits and quotas. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateTenantSettings {
    /// The tenant whose settings are changed.
    pub id: TenantId,
    /// The merge patch, and the version that it applies to.
    pub change: SettingsChange,
}
command! {
    UpdateTenantSettings: Update Tenants as "admin.settings_changed" -> Change<Tenant>,
    target Tenant(id),
    outcome(changed => tenant_change::tenant_change_metadata(changed))
}

/// List the earlier versions of any tenant's settings. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTenantSettingsVersions {
    /// The tenant whose settings versions are listed.
    pub id: TenantId,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTenantSettingsVersions: Read Tenants as "admin.settings_read" -> Page<SettingsVersion>, target Tenant(id));
