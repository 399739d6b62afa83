//! Users, and their current entitlements.

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
    /// Stable id of the user at the issuer (Entra ID: `oid`).
    pub external_id: String,
    /// E-mail address, for display only; never used for authorization.
    pub email: String,
    /// Name, for display only.
    pub display_name: Option<String>,
    /// Role within the tenant.
    pub role: Role,
    /// The role came from a token, and a later token may remove it.
    pub role_from_token: bool,
    /// An admin pinned the role: a token may lower it but never raise it.
    pub role_pinned: bool,
    /// When the role was set; `None` if it has not been set since the user was created.
    pub role_set_at: Option<Timestamp>,
    /// Privileges in addition to the role.
    pub grants: Vec<Grant>,
    /// Whether the user is active; every request of an inactive user is refused.
    pub is_active: bool,
    /// Time of the last login: when a token that had not been seen before was accepted.
    pub last_login: Option<Timestamp>,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

impl User {
    /// The role with the facts that decide whether a token may change it.
    #[must_use]
    pub fn assigned_role(&self) -> AssignedRole {
        let (role, from_token, pinned) = (self.role, self.role_from_token, self.role_pinned);
        AssignedRole { role, from_token, pinned, set_at: self.role_set_at }
    }
}

/// The user identified by a verified token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The token's issuer.
    pub issuer: String,
    /// Stable id of the user at the issuer.
    pub subject: String,
    /// E-mail claim, if any.
    pub email: Option<String>,
    /// Name claim, if any.
    pub name: Option<String>,
    /// The role that the token's claims map to; `None` if it has no role claim.
    pub role: Option<Role>,
    /// When the token was issued (`iat`), if it says so. Without `iat` the role is ignored.
    pub issued_at: Option<Timestamp>,
}

impl Identity {
    /// The token's role claim, with the time of issue.
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
    /// Stable id of the user at the issuer.
    pub external_id: String,
    /// E-mail address, for display only.
    pub email: String,
    /// Name, for display only.
    pub display_name: Option<String>,
    /// Role within the tenant.
    pub role: Role,
}

impl User {
    /// Whether the user is an active admin. Every tenant must keep at least one.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.is_active
    }
}

/// Changes to a user by an admin. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserPatch {
    /// New role; it is pinned unless `role_pinned` says otherwise.
    pub role: Option<Role>,
    /// Whether to pin the role, so that tokens cannot raise it, or to unpin it.
    pub role_pinned: Option<bool>,
    /// New grants; they replace all old ones.
    pub grants: Option<Vec<Grant>>,
    /// Activates or deactivates the user.
    pub is_active: Option<bool>,
}

/// State of a user and their tenant in the database, read for a decision.
#[derive(Clone, PartialEq, Debug)]
pub struct Membership {
    /// The user's row.
    pub user: User,
    /// Whether the tenant is active.
    pub tenant_active: bool,
    /// The tenant's display name.
    pub tenant_name: String,
    /// The tenant's settings.
    pub settings: TenantSettings,
    /// Whether the session or access token of the reading scope was revoked.
    pub session_revoked: bool,
}

/// A user's own account, as currently stored.
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
    /// Why every request in the session is refused: the tenant or the user is deactivated, or the session was revoked.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalCode> {
        if !self.tenant_active {
            Some(RefusalCode::TenantSuspended)
        } else if !self.user.is_active {
            Some(RefusalCode::UserDisabled)
        } else if self.session_revoked {
            Some(RefusalCode::SessionRevoked)
        } else {
            None
        }
    }

    /// The resulting entitlements, with the `configured_grants` grants added to those in the database.
    #[must_use]
    pub fn entitlements(&self, configured_grants: &[Grant]) -> Entitlements {
        let mut grants = self.user.grants.clone();
        grants.extend(configured_grants);
        grants.sort_unstable();
        grants.dedup();
        Entitlements { role: self.user.role, grants, clearance: self.settings.clearance(self.user.role) }
    }
}

/// A user's role, grants and clearance at the time of a decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entitlements {
    /// Role within the tenant.
    pub role: Role,
    /// Privileges in addition to the role.
    pub grants: Vec<Grant>,
    /// The highest classification the user may see.
    pub clearance: Classification,
}
