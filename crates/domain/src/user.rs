//! Users, and what they may do at this moment.

use crate::assigned_role::{AssignedRole, RoleClaim};
use crate::ids::UserId;
use crate::refusal::RefusalCode;
use crate::role::{Classification, Grant, Role};
use crate::tenant::TenantSettings;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A user of a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// UUIDv7, chosen by the application.
    pub id: UserId,
    /// Issuer of the user's tokens (`iss`).
    pub issuer: String,
    /// The issuer's stable id of the user (Entra: `oid`).
    pub external_id: String,
    /// E-mail, for display only; it never authorizes.
    pub email: String,
    /// Name, for display only.
    pub display_name: Option<String>,
    /// Role within the tenant.
    pub role: Role,
    /// A token gave the role, and the tokens may take it away.
    pub role_from_token: bool,
    /// An admin pinned the role: a token may lower it and never raise it.
    pub role_pinned: bool,
    /// When the role was set; `None`: it came with the user.
    pub role_set_at: Option<Timestamp>,
    /// Powers beside the role.
    pub grants: Vec<Grant>,
    /// An inactive user is refused at every request.
    pub is_active: bool,
    /// When a new token was first seen.
    pub last_login: Option<Timestamp>,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

impl User {
    /// The role with what decides whether a token may change it.
    #[must_use]
    pub fn assigned_role(&self) -> AssignedRole {
        let (role, from_token, pinned) = (self.role, self.role_from_token, self.role_pinned);
        AssignedRole { role, from_token, pinned, set_at: self.role_set_at }
    }
}

/// The user that a verified token identifies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The token's issuer.
    pub issuer: String,
    /// The issuer's stable id of the user.
    pub subject: String,
    /// E-mail claim, if any.
    pub email: Option<String>,
    /// Name claim, if any.
    pub name: Option<String>,
    /// The role that the token's role claims map to; `None` where it has no role claim at all.
    pub role: Option<Role>,
    /// When the token was issued, if it says so. Without that its role counts for nothing.
    pub issued_at: Option<Timestamp>,
}

impl Identity {
    /// What the token says of the role.
    #[must_use]
    pub fn role_claim(&self) -> RoleClaim {
        RoleClaim { role: self.role, issued_at: self.issued_at }
    }
}

/// A user that an admin creates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// UUIDv7, chosen by the application.
    pub id: UserId,
    /// Issuer of the user's tokens (`iss`).
    pub issuer: String,
    /// The issuer's stable id.
    pub external_id: String,
    /// E-mail address, for display only.
    pub email: String,
    /// Name of the tool, as the model calls it.
    pub display_name: Option<String>,
    /// Role within the tenant.
    pub role: Role,
}

impl User {
    /// Whether the user is an active admin. Each tenant keeps at least one.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.is_active
    }
}

/// What an admin may change of a user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserPatch {
    /// New role; it is pinned unless `role_pinned` says otherwise.
    pub role: Option<Role>,
    /// Pin the role, or leave it to the tokens again.
    pub role_pinned: Option<bool>,
    /// New powers beside the role, in place of all before.
    pub grants: Option<Vec<Grant>>,
    /// Activate or deactivate.
    pub is_active: Option<bool>,
}

/// What the database says of a user and tenant at the moment of a decision.
#[derive(Clone, PartialEq, Debug)]
pub struct Membership {
    /// User of that tenant.
    pub user: User,
    /// The tenant is active.
    pub tenant_active: bool,
    /// The tenant's settings.
    pub settings: TenantSettings,
}

/// A user's own account, as the database has it at this moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Account {
    /// The user's row.
    pub user: User,
    /// Role, grants and clearance.
    pub entitlements: Entitlements,
    /// Settings of the user's tenant.
    pub settings: TenantSettings,
}

impl Membership {
    /// Why every request is refused: the tenant or the user is deactivated.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalCode> {
        if !self.tenant_active {
            Some(RefusalCode::TenantSuspended)
        } else if !self.user.is_active {
            Some(RefusalCode::UserDisabled)
        } else {
            None
        }
    }

    /// The entitlements that follow, with the `configured` grants added to those in the database.
    #[must_use]
    pub fn entitlements(&self, configured: &[Grant]) -> Entitlements {
        let mut grants = self.user.grants.clone();
        grants.extend(configured);
        grants.sort_unstable();
        grants.dedup();
        Entitlements { role: self.user.role, grants, clearance: self.settings.clearance(self.user.role) }
    }
}

/// What a user may do, as it was at the moment of a decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entitlements {
    /// Role within the tenant.
    pub role: Role,
    /// Powers beside the role.
    pub grants: Vec<Grant>,
    /// The highest classification the user may see.
    pub clearance: Classification,
}
