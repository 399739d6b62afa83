//! Commands on accounts, users, tenants and the audit log.

use super::command;
use crate::audit::AuditFilter;
use crate::ids::{AuditId, TenantId, UserId};
use crate::page::PageRequest;
use crate::role::{Operation, Resource, Role};
use crate::text::{Label, Title};
use serde::Serialize;
use uuid::Uuid;

/// Read one's own account.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadAccount;
command!(ReadAccount: Read Account as AccountRead);

/// Read the audit log: admins and auditors their tenant's, others their own rows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListAudit {
    /// Which rows.
    pub filter: AuditFilter,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListAudit: List AuditLogs as AuditRead);

/// Take the tenant's sealed log out, in the order of its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ExportAudit {
    /// After this place; 0: from the start.
    pub after: i64,
}
command!(ExportAudit: Export AuditLogs as AuditExport);

/// List the tenant's users.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListUsers {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListUsers: List Users as AdminUserList);

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
command!(CreateUser: Create Users as AdminUserCreated);

/// Change a user's role or switch the user on or off.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateUser {
    /// Which one.
    pub id: UserId,
    /// New role.
    pub role: Option<Role>,
    /// Switch on or off.
    pub is_active: Option<bool>,
}
command!(UpdateUser: Update Users as AdminRoleChanged, target User(id));

/// List the tenants. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTenants {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTenants: List Tenants as AdminTenantList);

/// Make a tenant. For `platform_admin` only.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTenant {
    /// Full name.
    pub name: Title,
    /// Short name: 1 to 64 of `a–z 0–9 -`, starting with a letter or digit.
    pub slug: String,
}
command!(CreateTenant: Create Tenants as AdminTenantCreated);

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
command!(UpdateTenant: Update Tenants as AdminTenantChanged, target Tenant(id));

/// Read why something was refused.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadDecision {
    /// The refusal's row in the audit log.
    pub id: AuditId,
}
command!(ReadDecision: Read Decisions as AdminDecisionRead, target Decision(id));

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
command!(SimulateDecision: Read Decisions as AdminDecisionSimulated, target User(user));
