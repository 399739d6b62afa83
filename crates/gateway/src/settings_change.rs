//! Settings on the wire: how they are shown, and what a change of them may say.

use crate::error::ApiError;
use crate::wire;
use domain::budget::Money;
use domain::error::ErrorKind;
use domain::model::ModelChoice;
use domain::role::{Classification, Role};
use domain::tenant::{SettingsChange, TenantSettings};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// Most mappings of roles.
const MAX_MAPPINGS: usize = 500;
/// Longest value or group that is mapped, in bytes.
const MAX_MAPPED: usize = 256;
/// Longest life of a personal access token, in days.
const MAX_TOKEN_DAYS: u32 = 3_650;
/// Highest request limit and quota: what JSON numbers hold everywhere.
const MAX_AMOUNT: u64 = 9_007_199_254_740_991;
/// The text search configurations that PostgreSQL 16 brings.
const LANGUAGES: &[&str] = &[
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "simple",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

/// A field of a merge patch: missing, null (takes the override away), or a new value.
type Field<T> = Option<Option<T>>;

/// A field that is there, be it null.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

macro_rules! patch {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        #[derive(Deserialize, Serialize, ToSchema, Debug)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])*
            #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
            $field: Field<$type>,)+
        }
    };
}

patch! {
    /// A change of your tenant's settings: what is missing stays, null takes an override away.
    #[schema(example = json!({"clearance": {"user": "confidential"}, "language": null}))]
    OwnSettingsChange {
        #[schema(value_type = Option<ClearanceChange>)]
        clearance: ClearanceChange,
        /// The highest classification that models may see.
        #[schema(schema_with = wire::classification_or_null)]
        model_classification: Classification,
        /// The highest classification that may go to a model outside the site; `internal` unless given.
        #[schema(schema_with = wire::classification_or_null)]
        cloud_classification: Classification,
        /// Which tier answers where neither the turn nor the conversation says; `auto` unless given.
        #[schema(schema_with = wire::model_choice_or_null)]
        default_model: ModelChoice,
        /// One of PostgreSQL's text search configurations; what is ingested from then on is indexed by it.
        #[schema(schema_with = language)]
        language: String,
        /// Value of the role claim, or `g:` and a group → role.
        #[schema(schema_with = role_mappings)]
        role_mappings: BTreeMap<String, Option<Role>>,
        /// The longest life of a personal access token.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 3650)]
        access_token_max_days: u32,
    }
}

patch! {
    /// A change of any tenant's settings: what is missing stays, null takes an override away.
    #[schema(example = json!({"quotas": {"documents": 10000}, "rate_limits": {"user": {"per_minute": 60, "per_hour": 600}}}))]
    TenantSettingsChange {
        #[schema(value_type = Option<ClearanceChange>)]
        clearance: ClearanceChange,
        /// The highest classification that models may see.
        #[schema(schema_with = wire::classification_or_null)]
        model_classification: Classification,
        /// The highest classification that may go to a model outside the site; `internal` unless given.
        #[schema(schema_with = wire::classification_or_null)]
        cloud_classification: Classification,
        /// Which tier answers where neither the turn nor the conversation says; `auto` unless given.
        #[schema(schema_with = wire::model_choice_or_null)]
        default_model: ModelChoice,
        /// One of PostgreSQL's text search configurations; what is ingested from then on is indexed by it.
        #[schema(schema_with = language)]
        language: String,
        /// Value of the role claim, or `g:` and a group → role.
        #[schema(schema_with = role_mappings)]
        role_mappings: BTreeMap<String, Option<Role>>,
        /// The longest life of a personal access token.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 3650)]
        access_token_max_days: u32,
        #[schema(value_type = Option<RateLimitsChange>)]
        rate_limits: RateLimitsChange,
        #[schema(value_type = Option<QuotasChange>)]
        quotas: QuotasChange,
    }
}

patch! {
    /// The highest classification per role.
    ClearanceChange {
        /// At most `internal`.
        #[schema(schema_with = viewers_class)]
        viewer: Classification,
        #[schema(schema_with = wire::classification_or_null)]
        user: Classification,
    }
}

patch! {
    /// Request limits per role.
    RateLimitsChange {
        #[schema(value_type = Option<RateTierChange>)]
        viewer: RateTierChange,
        #[schema(value_type = Option<RateTierChange>)]
        user: RateTierChange,
        #[schema(value_type = Option<RateTierChange>)]
        admin: RateTierChange,
    }
}

/// How many requests one user may make; both are needed.
#[derive(Deserialize, Serialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateTierChange {
    #[schema(minimum = 1)]
    per_minute: u32,
    #[schema(minimum = 1)]
    per_hour: u32,
}

patch! {
    /// What the tenant may use.
    QuotasChange {
        /// Documents kept at once.
        #[schema(value_type = Option<u64>, maximum = 9007199254740991_u64)]
        documents: u64,
        /// Bytes of their files.
        #[schema(value_type = Option<u64>, maximum = 9007199254740991_u64)]
        bytes: u64,
        /// Requests in a day, of all users together: so many at once, and given back evenly over the day.
        #[schema(value_type = Option<u64>, maximum = 9007199254740991_u64)]
        requests_per_day: u64,
        /// Tokens of chat turns a day (UTC).
        #[schema(value_type = Option<u64>, maximum = 9007199254740991_u64)]
        tokens_per_day: u64,
        /// The same for each user.
        #[schema(value_type = Option<u64>, maximum = 9007199254740991_u64)]
        user_tokens_per_day: u64,
        /// What all calls to models may cost in a month (UTC): a decimal number of units of the currency that the prices
        /// are in.
        #[schema(value_type = Option<f64>, minimum = 0, maximum = 1_000_000_000)]
        cost_per_month: f64,
        /// The same for each user.
        #[schema(value_type = Option<f64>, minimum = 0, maximum = 1_000_000_000)]
        user_cost_per_month: f64,
        /// From how many percent of a limit of tokens or cost on it is said to be nearly used up; 80 unless given.
        #[schema(value_type = Option<u8>, minimum = 1, maximum = 100)]
        soft_percent: u8,
    }
}

impl OwnSettingsChange {
    /// The change, where its values are allowed.
    pub(crate) fn parse(self, expected: Option<i64>) -> Result<SettingsChange, ApiError> {
        check_clearance(&self.clearance)?;
        check_words(&self.language, &self.role_mappings, &self.access_token_max_days)?;
        change(&self, expected)
    }
}

impl TenantSettingsChange {
    /// The change, where its values are allowed.
    pub(crate) fn parse(self, expected: Option<i64>) -> Result<SettingsChange, ApiError> {
        check_clearance(&self.clearance)?;
        check_words(&self.language, &self.role_mappings, &self.access_token_max_days)?;
        if let Some(Some(limits)) = &self.rate_limits {
            for (role, tier) in [("viewer", &limits.viewer), ("user", &limits.user), ("admin", &limits.admin)] {
                if tier.iter().flatten().any(|tier| tier.per_minute == 0 || tier.per_hour == 0) {
                    return Err(ApiError::field(format!("/rate_limits/{role}"), "must be at least one request"));
                }
            }
        }
        if let Some(Some(quotas)) = &self.quotas {
            quotas.check()?;
        }
        change(&self, expected)
    }
}

impl QuotasChange {
    fn check(&self) -> Result<(), ApiError> {
        for (name, amount) in [
            ("documents", self.documents),
            ("bytes", self.bytes),
            ("requests_per_day", self.requests_per_day),
            ("tokens_per_day", self.tokens_per_day),
            ("user_tokens_per_day", self.user_tokens_per_day),
        ] {
            if amount.flatten().is_some_and(|amount| amount > MAX_AMOUNT) {
                return Err(ApiError::field(format!("/quotas/{name}"), format!("must be at most {MAX_AMOUNT}")));
            }
        }
        for (name, cost) in [("cost_per_month", self.cost_per_month), ("user_cost_per_month", self.user_cost_per_month)]
        {
            if cost.flatten().is_some_and(|cost| Money::from_units(cost).is_none()) {
                return Err(ApiError::field(format!("/quotas/{name}"), "must be from 0 to 1000000000"));
            }
        }
        if self.soft_percent.flatten().is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err(ApiError::field("/quotas/soft_percent", "must be from 1 to 100"));
        }
        Ok(())
    }
}

fn change(patch: &impl Serialize, expected: Option<i64>) -> Result<SettingsChange, ApiError> {
    let patch = serde_json::to_value(patch).map_err(|_| ApiError::of(ErrorKind::Internal))?;
    Ok(SettingsChange { patch, expected })
}

/// The languages, or null.
fn language() -> RefOr<Schema> {
    wire::words(LANGUAGES.iter().copied(), true)
}

/// Names and roles, or null.
fn role_mappings() -> RefOr<Schema> {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(wire::NOT_BLANK))
        .max_length(Some(MAX_MAPPED))
        .build();
    let mut mappings = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(wire::role_or_null()))
        .max_properties(Some(MAX_MAPPINGS))
        .build();
    mappings.property_names = Some(Box::new(Schema::Object(name)));
    Schema::Object(mappings).into()
}

/// What a viewer may be cleared for, or null.
fn viewers_class() -> RefOr<Schema> {
    let classes = Classification::ALL.iter().filter(|class| **class <= Classification::Internal);
    wire::words(classes.map(|class| class.as_str()), true)
}

fn check_clearance(given: &Field<ClearanceChange>) -> Result<(), ApiError> {
    let viewer = given.iter().flatten().filter_map(|clearance| clearance.viewer.flatten()).next();
    if viewer.is_some_and(|class| class > Classification::Internal) {
        return Err(ApiError::field("/clearance/viewer", "must be public or internal"));
    }
    Ok(())
}

fn check_words(
    language: &Field<String>,
    mappings: &Field<BTreeMap<String, Option<Role>>>,
    days: &Field<u32>,
) -> Result<(), ApiError> {
    if let Some(Some(language)) = language
        && !LANGUAGES.contains(&language.as_str())
    {
        return Err(ApiError::field("/language", format!("must be one of {}", LANGUAGES.join(", "))));
    }
    if let Some(Some(mappings)) = mappings {
        let fits =
            |name: &String| !name.trim().is_empty() && !name.contains('\0') && name.chars().nth(MAX_MAPPED).is_none();
        if mappings.len() > MAX_MAPPINGS || !mappings.keys().all(fits) {
            let detail = format!("must be at most {MAX_MAPPINGS} names of 1 to {MAX_MAPPED} characters");
            return Err(ApiError::field("/role_mappings", detail));
        }
    }
    if days.flatten().is_some_and(|days| !(1..=MAX_TOKEN_DAYS).contains(&days)) {
        let detail = format!("must be from 1 to {MAX_TOKEN_DAYS}");
        return Err(ApiError::field("/access_token_max_days", detail));
    }
    Ok(())
}

/// Settings as they are shown. What is not set is null, or empty.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct SettingsView {
    /// The highest classification per role, where it is less than the platform's.
    #[schema(value_type = Object)]
    clearance: Value,
    /// The highest classification that models may see, where it is less than the platform's.
    #[schema(schema_with = wire::classification_or_null)]
    model_classification: Option<&'static str>,
    /// The highest classification that may go to a model outside the site; `internal` unless given.
    #[schema(schema_with = wire::classification_or_null)]
    cloud_classification: Option<&'static str>,
    /// Which tier answers where neither the turn nor the conversation says; `auto` unless given.
    #[schema(schema_with = wire::model_choice_or_null)]
    default_model: Option<&'static str>,
    language: Option<String>,
    /// Value of the role claim, or `g:` and a group → role.
    #[schema(value_type = Object)]
    role_mappings: BTreeMap<String, &'static str>,
    access_token_max_days: Option<u32>,
    /// Requests per minute and hour by role, where they differ from the platform's.
    #[schema(value_type = Object)]
    rate_limits: Value,
    /// What the tenant may use; what is missing is not limited.
    #[schema(value_type = Object)]
    quotas: Value,
}

impl From<TenantSettings> for SettingsView {
    fn from(settings: TenantSettings) -> Self {
        let shown = |value: serde_json::Result<Value>| value.unwrap_or_default();
        Self {
            clearance: shown(serde_json::to_value(settings.clearance)),
            model_classification: settings.model_classification.map(Classification::as_str),
            cloud_classification: settings.cloud_classification.map(Classification::as_str),
            default_model: settings.default_model.map(ModelChoice::as_str),
            language: settings.language,
            role_mappings: settings.role_mappings.into_iter().map(|(name, role)| (name, role.as_str())).collect(),
            access_token_max_days: settings.access_token_max_days,
            rate_limits: shown(serde_json::to_value(settings.rate_limits)),
            quotas: shown(serde_json::to_value(settings.quotas)),
        }
    }
}
