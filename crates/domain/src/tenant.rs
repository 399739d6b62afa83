//! Tenants, their settings, and how much of their quotas they use.

use crate::budget::{Budgets, Money, PeriodSpending};
use crate::ids::{TenantId, UserId};
use crate::model::TierChoice;
use crate::privacy::PiiSanitization;
use crate::role::{Classification, Role};
use crate::time::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A tenant: one plant or company.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenant {
    /// UUIDv7 of the row.
    pub id: TenantId,
    /// Display name; unique.
    pub name: String,
    /// Short name used in URLs and tokens; unique.
    pub slug: String,
    /// The settings in force.
    pub settings: TenantSettings,
    /// Version of the settings: 1 at first, plus one for each change.
    pub settings_version: i64,
    /// Whether the tenant is active; every request of an inactive tenant is refused.
    pub is_active: bool,
    /// When the tenant was created.
    pub created_at: Timestamp,
    /// When the row was last updated.
    pub updated_at: Timestamp,
}

/// Maximum length of a tenant's instructions, in characters.
pub const MAX_INSTRUCTIONS_CHARS: usize = 4_000;

/// Declares the settings and their keys from one list of fields. A setting that is unset is not written, so that the
/// platform's default applies.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $key:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])*
            #[serde(skip_serializing_if = "is_unset")]
            pub $key: $type,)+
        }

        impl $name {
            /// The keys of `tenants.config` that are settings; the platform leaves all other keys alone.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];
        }
    };
}

settings! {
    /// Settings of a tenant, stored in `tenants.config`. Unknown keys stay in the database and are not read.
    #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct TenantSettings {
        /// Request limits that replace the platform's defaults.
        pub rate_limits: RoleRateLimits,
        /// Highest classification that each role may see, if it is lower than the platform's.
        pub clearance: ClearanceLimits,
        /// Highest classification that models may see, if it is lower than the platform's.
        pub model_classification: Option<Classification>,
        /// Highest classification that may be sent to a model outside the site; `internal` by default.
        pub cloud_classification: Option<Classification>,
        /// Model tier for turns where neither the turn nor the conversation chooses one; `auto` by default.
        pub default_model: Option<TierChoice>,
        /// How the assistant answers in this plant, in the administrators' words; part of each system message, so it
        /// must not contain what a model may not see. At most [`MAX_INSTRUCTIONS_CHARS`] characters.
        pub instructions: Option<String>,
        /// PostgreSQL text search configuration for the tenant's documents; `english` by default.
        pub language: Option<String>,
        /// Limits on what the tenant may store and spend.
        pub quotas: Quotas,
        /// Role for each value of the tokens' role claim. A key that starts with `g:` names a group instead.
        pub role_mappings: BTreeMap<String, Role>,
        /// Maximum lifetime of a personal access token, in days.
        pub access_token_max_days: Option<u32>,
        /// Which values must not reach models unchanged.
        pub pii_sanitization: PiiSanitization,
        /// The lowest role that may request writes to plant systems: `admin` (the default) or `user`.
        pub write_tools_min_role: Option<Role>,
        /// Whether teams have members across tenants.
        pub teams: TeamSettings,
        /// How goals of the tenant are executed.
        pub goals: GoalRules,
    }
}

/// What a tenant allows between its teams and other tenants. Nothing is allowed unless it is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TeamSettings {
    /// Users of other tenants may be members of this tenant's teams.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host_guests: bool,
    /// Users of this tenant may be members of other tenants' teams.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub join_others: bool,
    /// Highest classification that guests of this tenant's teams may see; `internal` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_classification: Option<Classification>,
    /// Days until the content of a deleted team goes; [`Self::DELETE_AFTER_DAYS`] by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after_days: Option<u32>,
}

impl TeamSettings {
    /// Default of `delete_after_days`.
    pub const DELETE_AFTER_DAYS: u32 = 7;

    /// Teams that were deleted at this time or earlier are not restored any more: their content goes.
    #[must_use]
    pub fn expired_since(&self, now: Timestamp) -> Timestamp {
        now - TimeDelta::days(i64::from(self.delete_after_days.unwrap_or(Self::DELETE_AFTER_DAYS)))
    }

    /// Highest classification that guests may see.
    #[must_use]
    pub fn guest_clearance(&self) -> Classification {
        self.guest_classification.unwrap_or(Classification::Internal)
    }
}

fn is_unset<T: Default + PartialEq>(setting: &T) -> bool {
    *setting == T::default()
}

impl TenantSettings {
    /// Applies a JSON merge patch (RFC 7396): `null` removes an override.
    ///
    /// # Errors
    /// If the result does not deserialize as settings.
    pub fn with_patch(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        apply_merge_patch(&mut merged, patch);
        serde_json::from_value(merged)
    }

    /// The lowest role that may request writes to plant systems; never below `user`.
    #[must_use]
    pub fn lowest_write_role(&self) -> Role {
        self.write_tools_min_role.unwrap_or(Role::Admin).max(Role::User)
    }

    /// Highest classification that may be sent to a model outside the site.
    #[must_use]
    pub fn max_cloud_classification(&self) -> Classification {
        self.cloud_classification.unwrap_or(Classification::Internal)
    }

    /// Highest classification that `role` may see. Viewers see at most `internal`, users at most `restricted` unless
    /// the tenant sets a lower classification, and admins everything.
    #[must_use]
    pub fn clearance(&self, role: Role) -> Classification {
        match role {
            Role::Viewer => self.clearance.viewer.unwrap_or(Classification::Internal).min(Classification::Internal),
            Role::User => self.clearance.user.unwrap_or(Classification::Restricted),
            Role::Admin => Classification::Restricted,
        }
    }
}

/// The MergePatch algorithm of RFC 7396, section 2.
fn apply_merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(fields) = target {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(name);
            } else {
                apply_merge_patch(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

/// Quotas of a tenant; an unset quota is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quotas {
    /// Number of stored documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Total size of the documents' files, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Requests of all users per day: a token bucket of this size that refills evenly over a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Input and output tokens of all chat turns per day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Input and output tokens of one user's chat turns per day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_tokens_per_day: Option<u64>,
    /// Cost of all model calls per month (UTC), embedding and reranking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_month: Option<Money>,
    /// Cost of one user's model calls per month (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_cost_per_month: Option<Money>,
    /// Percentage of a token or cost quota above which users are warned; 80 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_percent: Option<u8>,
}

/// What a tenant currently stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StorageUsage {
    /// Number of documents.
    pub documents: u64,
    /// Total size of their files, in bytes.
    pub bytes: u64,
}

impl Quotas {
    /// Default of `soft_percent`.
    pub const DEFAULT_SOFT_PERCENT: u8 = 80;

    /// The quotas on tokens and cost of models.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        Budgets {
            tokens_per_day: self.tokens_per_day,
            user_tokens_per_day: self.user_tokens_per_day,
            cost_per_month: self.cost_per_month.map(|money| money.0),
            user_cost_per_month: self.user_cost_per_month.map(|money| money.0),
            soft_percent: self.soft_percent.unwrap_or(Self::DEFAULT_SOFT_PERCENT),
        }
    }

    /// Maximum size in bytes of one more document on top of `usage`; 0 if no further document is allowed.
    #[must_use]
    pub fn max_new_document_bytes(&self, usage: StorageUsage) -> u64 {
        if self.documents.is_some_and(|max| usage.documents >= max) {
            return 0;
        }
        self.bytes.map_or(u64::MAX, |max| max.saturating_sub(usage.bytes))
    }

    /// Whether `usage` exceeds a quota.
    #[must_use]
    pub fn exceeded_by(&self, usage: StorageUsage) -> bool {
        self.documents.is_some_and(|max| usage.documents > max) || self.bytes.is_some_and(|max| usage.bytes > max)
    }
}

/// A tenant's quotas, with its current usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantUsage {
    /// Stored documents and bytes.
    pub storage: StorageUsage,
    /// Tokens since the start of the day and cost since the start of the month (UTC).
    pub spending: PeriodSpending,
    /// When the daily counters reset.
    pub day_ends_at: Timestamp,
    /// The tenant's quotas.
    pub quotas: Quotas,
}

/// A change of a tenant's settings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingsChange {
    /// A validated JSON merge patch (RFC 7396) of the settings.
    pub patch: Value,
    /// Version that the change applies to (`If-Match`); `None` for any version.
    pub expected: Option<i64>,
}

/// An earlier state of the settings.
#[derive(Clone, PartialEq, Debug)]
pub struct SettingsVersion {
    /// Version number; the first is 1.
    pub version: i64,
    /// The settings of this version.
    pub settings: TenantSettings,
    /// Who made the change; `None` for the tenant's initial settings and for changes made by SQL.
    pub changed_by: Option<UserId>,
    /// When the change was made.
    pub changed_at: Timestamp,
}

/// How goals of a tenant are executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GoalRules {
    /// Whether users must approve each plan; `false` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<bool>,
    /// Maximum number of steps that run at once, if it is lower than the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel_steps: Option<u32>,
}

/// Request limits per role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleRateLimits {
    /// Limit of each viewer.
    pub viewer: Option<RateLimit>,
    /// Limit of each user.
    pub user: Option<RateLimit>,
    /// Limit of each admin.
    pub admin: Option<RateLimit>,
}

impl RoleRateLimits {
    /// The limit of `role`; `None` if the platform's default applies.
    #[must_use]
    pub fn for_role(&self, role: Role) -> Option<RateLimit> {
        match role {
            Role::Viewer => self.viewer,
            Role::User => self.user,
            Role::Admin => self.admin,
        }
    }
}

/// Request limit of one user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RateLimit {
    /// Maximum requests per minute.
    pub per_minute: u32,
    /// Maximum requests per hour.
    pub per_hour: u32,
}

impl RateLimit {
    /// The platform's default for `role`.
    #[must_use]
    pub const fn default_for(role: Role) -> Self {
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
    /// Clearance of viewers; values above `internal` count as `internal`.
    pub viewer: Option<Classification>,
    /// Clearance of users.
    pub user: Option<Classification>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_changes_the_given_keys_and_null_removes_an_override() {
        let before: TenantSettings = serde_json::from_value(serde_json::json!({
            "language": "german", "quotas": {"documents": 5, "bytes": 9}, "role_mappings": {"g:ops": "user"},
            "rate_limits": {"user": {"per_minute": 1, "per_hour": 2}}, "unknown_setting": {"mode": "block"},
        }))
        .expect("settings with an unknown key");
        let patch = serde_json::json!({
            "language": null, "quotas": {"documents": 7}, "role_mappings": {"g:ops": null, "g:eng": "admin"},
            "rate_limits": {"user": {"per_minute": 3}},
        });
        let after = before.with_patch(&patch).expect("settings");
        assert_eq!(after.language, None);
        assert_eq!((after.quotas.documents, after.quotas.bytes), (Some(7), Some(9)));
        assert_eq!(after.role_mappings, BTreeMap::from([("g:eng".to_owned(), Role::Admin)]));
        assert_eq!(after.rate_limits.user, Some(RateLimit { per_minute: 3, per_hour: 2 }));
        assert_eq!(TenantSettings::default().with_patch(&serde_json::json!({"clearance": {"user": "top"}})).ok(), None);
    }

    #[test]
    fn a_tenant_can_lower_clearances_but_not_raise_that_of_viewers() {
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
