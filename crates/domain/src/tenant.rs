//! Tenants and their settings.

use crate::budget::{Budgets, Money, PeriodSpending};
use crate::ids::{TenantId, UserId};
use crate::model::ModelChoice;
use crate::role::{Classification, Role};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
    /// Counts the changes of the settings, from 1.
    pub settings_version: i64,
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
    #[serde(skip_serializing_if = "is_unset")]
    pub rate_limits: RoleLimits,
    /// The highest classification each role may see, where it is less than the platform's.
    #[serde(skip_serializing_if = "is_unset")]
    pub clearance: ClearanceLimits,
    /// The highest classification that models may see, where it is less than the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_classification: Option<Classification>,
    /// The highest classification that may go to a model outside the site; `internal` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_classification: Option<Classification>,
    /// Which tier answers where neither the turn nor the conversation says; `auto` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_model: Option<ModelChoice>,
    /// PostgreSQL's text search configuration for the words of documents; English unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the tenant may use.
    #[serde(skip_serializing_if = "is_unset")]
    pub quotas: Quotas,
    /// Which roles values of the tokens' role claim stand for, and with `g:` before them groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub role_mappings: BTreeMap<String, Role>,
    /// The longest life of a personal access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_max_days: Option<u32>,
}

/// A setting that says nothing is not written: the platform's own holds.
fn is_unset<T: Default + PartialEq>(setting: &T) -> bool {
    *setting == T::default()
}

impl TenantSettings {
    /// The keys of `tenants.config` that are settings; all others are kept as they are.
    pub const KEYS: &'static [&'static str] = &[
        "rate_limits",
        "clearance",
        "model_classification",
        "cloud_classification",
        "default_model",
        "language",
        "quotas",
        "role_mappings",
        "access_token_max_days",
    ];

    /// The settings with a JSON merge patch (RFC 7396) applied: null takes an override away.
    ///
    /// # Errors
    /// Where the result is no settings.
    pub fn merged(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        merge(&mut merged, patch);
        serde_json::from_value(merged)
    }

    /// The highest classification that may go to a model outside the site.
    #[must_use]
    pub fn cloud_limit(&self) -> Classification {
        self.cloud_classification.unwrap_or(Classification::Internal)
    }

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

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(fields) = target {
        for (name, change) in patch {
            if change.is_null() {
                fields.remove(name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), change);
            }
        }
    }
}

/// What a tenant may use; what is not set is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quotas {
    /// Documents kept at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Bytes of their files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Requests in a day, of all users together: so many at once, and given back evenly over the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Tokens of chat turns a day (UTC), read and written together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// The same for each user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_tokens_per_day: Option<u64>,
    /// What all calls to models may cost in a month (UTC), embedding and reranking among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_month: Option<Money>,
    /// The same for each user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_cost_per_month: Option<Money>,
    /// From how many percent of a limit of tokens or cost on it is said to be nearly used up; 80 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_percent: Option<u8>,
}

/// What a tenant keeps at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StorageUsage {
    /// Documents.
    pub documents: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Quotas {
    /// Where a limit is nearly used up unless the tenant's settings say otherwise, in percent.
    pub const SOFT_PERCENT: u8 = 80;

    /// The limits of what is spent on models.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        Budgets {
            tokens_per_day: self.tokens_per_day,
            user_tokens_per_day: self.user_tokens_per_day,
            cost_per_month: self.cost_per_month.map(|money| money.0),
            user_cost_per_month: self.user_cost_per_month.map(|money| money.0),
            soft_percent: self.soft_percent.unwrap_or(Self::SOFT_PERCENT),
        }
    }

    /// How many bytes may come to `kept` in one more document; none where it may not be one document more.
    #[must_use]
    pub fn room(&self, kept: StorageUsage) -> u64 {
        if self.documents.is_some_and(|most| kept.documents >= most) {
            return 0;
        }
        self.bytes.map_or(u64::MAX, |most| most.saturating_sub(kept.bytes))
    }

    /// Whether `kept` is more than allowed.
    #[must_use]
    pub fn exceeded_by(&self, kept: StorageUsage) -> bool {
        self.documents.is_some_and(|most| kept.documents > most) || self.bytes.is_some_and(|most| kept.bytes > most)
    }
}

/// What a tenant uses, beside what it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantUsage {
    /// Documents and bytes.
    pub kept: StorageUsage,
    /// Tokens since the day began, cost since the month did.
    pub spent: PeriodSpending,
    /// When the next day begins.
    pub day_ends: Timestamp,
    /// What is allowed.
    pub quotas: Quotas,
}

/// A change of a tenant's settings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingsChange {
    /// A JSON merge patch of the settings, already known to fit.
    pub patch: Value,
    /// The version that it is a change of; `None`: whichever there is.
    pub expected: Option<i64>,
}

/// The settings as they once were.
#[derive(Clone, PartialEq, Debug)]
pub struct SettingsVersion {
    /// Which one, from 1.
    pub version: i64,
    /// The settings.
    pub settings: TenantSettings,
    /// Who made it; `None` where it came with the tenant, or from the database.
    pub changed_by: Option<UserId>,
    /// When.
    pub changed_at: Timestamp,
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
    fn a_merge_patch_changes_what_it_names_and_null_takes_an_override_away() {
        let before: TenantSettings = serde_json::from_value(serde_json::json!({
            "language": "german", "quotas": {"documents": 5, "bytes": 9}, "role_mappings": {"g:ops": "user"},
            "rate_limits": {"user": {"per_minute": 1, "per_hour": 2}}, "pii_sanitization": {"mode": "block"},
        }))
        .expect("settings, and a key that is none");
        let patch = serde_json::json!({
            "language": null, "quotas": {"documents": 7}, "role_mappings": {"g:ops": null, "g:eng": "admin"},
            "rate_limits": {"user": {"per_minute": 3}},
        });
        let after = before.merged(&patch).expect("settings");
        assert_eq!(after.language, None);
        assert_eq!((after.quotas.documents, after.quotas.bytes), (Some(7), Some(9)));
        assert_eq!(after.role_mappings, BTreeMap::from([("g:eng".to_owned(), Role::Admin)]));
        assert_eq!(after.rate_limits.user, Some(RateTier { per_minute: 3, per_hour: 2 }));
        assert_eq!(TenantSettings::default().merged(&serde_json::json!({"clearance": {"user": "top"}})).ok(), None);
    }

    #[test]
    fn every_key_that_is_written_is_named() {
        let all = serde_json::json!({
            "rate_limits": {"user": {"per_minute": 1, "per_hour": 2}}, "clearance": {"user": "internal"},
            "model_classification": "internal", "cloud_classification": "public", "default_model": "fast", "language": "german", "quotas": {"documents": 1},
            "role_mappings": {"a": "user"}, "access_token_max_days": 1,
        });
        let settings: TenantSettings = serde_json::from_value(all).expect("settings");
        let written = serde_json::to_value(settings).expect("JSON");
        let mut keys: Vec<_> = written.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut named = TenantSettings::KEYS.to_vec();
        keys.sort_unstable();
        named.sort_unstable();
        assert_eq!(keys, named);
    }

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
