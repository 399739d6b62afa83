//! Tenants and their settings.

use crate::ids::TenantId;
use crate::role::{Classification, Role};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A tenant.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenant {
    /// Id.
    pub id: TenantId,
    /// Full name, unique.
    pub name: String,
    /// Short name for addresses and tokens, unique.
    pub slug: String,
    /// Settings.
    pub settings: TenantSettings,
    /// A tenant that is switched off is refused at every request.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What a tenant may set for itself, in `tenants.config`. Unknown keys are kept in the database and not read.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Request limits that differ from the platform's.
    pub rate_limits: RoleLimits,
    /// The highest classification each role may see, where it is less than the platform's.
    pub clearance: ClearanceLimits,
    /// The highest classification that models may see, where it is less than the platform's.
    pub model_classification: Option<Classification>,
}

impl TenantSettings {
    /// The highest classification that `role` may see: viewers up to `internal`, users up to `restricted` unless the
    /// tenant says less, admins everything.
    #[must_use]
    pub fn clearance(&self, role: Role) -> Classification {
        match role {
            Role::Viewer => self.clearance.viewer.unwrap_or(Classification::Internal).min(Classification::Internal),
            Role::User => self.clearance.user.unwrap_or(Classification::Restricted),
            Role::Admin => Classification::Restricted,
        }
    }
}

/// Request limits per role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleLimits {
    /// For viewers.
    pub viewer: Option<RateTier>,
    /// For users.
    pub user: Option<RateTier>,
    /// For admins.
    pub admin: Option<RateTier>,
}

impl RoleLimits {
    /// The limit of `role`, if there is one.
    #[must_use]
    pub fn of(&self, role: Role) -> Option<RateTier> {
        match role {
            Role::Viewer => self.viewer,
            Role::User => self.user,
            Role::Admin => self.admin,
        }
    }
}

/// How many requests one user may make.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RateTier {
    /// Requests per minute.
    pub per_minute: u32,
    /// Requests per hour.
    pub per_hour: u32,
}

impl RateTier {
    /// The platform's limit of a role.
    #[must_use]
    pub const fn default_of(role: Role) -> Self {
        match role {
            Role::Viewer => Self { per_minute: 10, per_hour: 50 },
            Role::User => Self { per_minute: 30, per_hour: 200 },
            Role::Admin => Self { per_minute: 60, per_hour: 500 },
        }
    }
}

/// The highest classification per role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClearanceLimits {
    /// For viewers: at most `internal`.
    pub viewer: Option<Classification>,
    /// For users.
    pub user: Option<Classification>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_can_lower_a_clearance_and_not_raise_a_viewers() {
        let mut settings = TenantSettings::default();
        assert_eq!(settings.clearance(Role::Viewer), Classification::Internal);
        assert_eq!(settings.clearance(Role::User), Classification::Restricted);
        settings.clearance =
            ClearanceLimits { viewer: Some(Classification::Restricted), user: Some(Classification::Internal) };
        assert_eq!(settings.clearance(Role::Viewer), Classification::Internal);
        assert_eq!(settings.clearance(Role::User), Classification::Internal);
        assert_eq!(settings.clearance(Role::Admin), Classification::Restricted);
    }
}
