//! Tenant settings in the API: the list of settings, how each is displayed, and the values that a change may set.

use crate::error::ApiError;
use crate::fields;
use crate::goal_rules_change::GoalRulesChange;
use crate::merge_patch::{PatchField, Validate, check_range, deserialize_present, patch};
use crate::privacy_change::PiiSanitizationChange;
use crate::team_settings_change::TeamSettingsChange;
use domain::error::ErrorKind;
use domain::model::TierChoice;
use domain::privacy::PiiSanitization;
use domain::role::{Classification, Role};
use domain::tenant::{
    ClearanceLimits, GoalRules, MAX_INSTRUCTIONS_CHARS, Quotas, RoleRateLimits, SettingsChange, TeamSettings,
    TenantSettings,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// Maximum number of role mappings.
const MAX_MAPPINGS: usize = 500;
/// Maximum length of a mapped claim value or group, in characters.
const MAX_MAPPED_NAME_CHARS: usize = 256;
/// Text search configurations that PostgreSQL 16 ships.
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

/// Declares each setting once, with its field in a change and its field in the view, which has the domain's type.
/// Admins change those under `tenant`; only platform administrators change those under `platform`.
macro_rules! settings {
    (
        tenant { $($key:ident {
            change: $(#[$change_meta:meta])* $change:ty $([$min:tt to $max:tt])?,
            view: $(#[$view_meta:meta])* $view:ty,
        })+ }
        platform { $($platform_key:ident {
            change: $(#[$platform_change_meta:meta])* $platform_change:ty,
            view: $(#[$platform_view_meta:meta])* $platform_view:ty,
        })+ }
    ) => {
        patch! {
            /// A change of your tenant's settings: fields that are missing are not changed, null removes an override.
            #[schema(example = json!({"clearance": {"user": "confidential"}, "language": null}))]
            OwnSettingsChange {
                $($(#[$change_meta])* $key: $change $([$min to $max])?,)+
            }
        }

        patch! {
            /// A change of any tenant's settings: fields that are missing are not changed, null removes an override.
            #[schema(example = json!({
                "quotas": {"documents": 10000}, "rate_limits": {"user": {"per_minute": 60, "per_hour": 600}}
            }))]
            TenantSettingsChange {
                $($(#[$change_meta])* $key: $change $([$min to $max])?,)+
                $($(#[$platform_change_meta])* $platform_key: $platform_change,)+
            }
        }

        /// Settings as they are displayed. Those that are not set are null or empty.
        #[derive(Serialize, ToSchema, Debug)]
        pub(crate) struct SettingsView {
            $($(#[$view_meta])* $key: $view,)+
            $($(#[$platform_view_meta])* $platform_key: $platform_view,)+
        }

        impl From<TenantSettings> for SettingsView {
            fn from(settings: TenantSettings) -> Self {
                let TenantSettings { $($key,)+ $($platform_key,)+ } = settings;
                Self { $($key,)+ $($platform_key,)+ }
            }
        }
    };
}

settings! {
    tenant {
        clearance {
            change: #[schema(value_type = Option<ClearanceChange>)] ClearanceChange,
            view:
                /// The highest classification per role, where it is less than the platform's.
                #[schema(value_type = Object)]
                ClearanceLimits,
        }
        model_classification {
            change: #[schema(schema_with = fields::classification_or_null)] Classification,
            view: #[schema(schema_with = fields::classification_or_null)] Option<Classification>,
        }
        cloud_classification {
            change: #[schema(schema_with = fields::classification_or_null)] Classification,
            view: #[schema(schema_with = fields::classification_or_null)] Option<Classification>,
        }
        default_model {
            change: #[schema(schema_with = fields::tier_choice_or_null)] TierChoice,
            view: #[schema(schema_with = fields::tier_choice_or_null)] Option<TierChoice>,
        }
        instructions {
            change: #[schema(schema_with = instructions)] Instructions,
            view:
                /// How the assistant answers in this plant, in the administrators' words.
                Option<String>,
        }
        language {
            change: #[schema(schema_with = language)] Language,
            view: Option<String>,
        }
        role_mappings {
            change: #[schema(schema_with = role_mappings)] RoleMappings,
            view:
                /// Value of the role claim, or `g:` and a group → role.
                #[schema(value_type = Object)]
                BTreeMap<String, Role>,
        }
        pii_sanitization {
            change: #[schema(value_type = Option<PiiSanitizationChange>)] PiiSanitizationChange,
            view:
                /// Values that must not reach models unchanged.
                #[schema(value_type = Object)]
                PiiSanitization,
        }
        write_tools_min_role {
            change: #[schema(schema_with = write_tools_min_role)] WriteToolsMinRole,
            view:
                /// The lowest role that may request writes to plant systems; `admin` where it is null.
                #[schema(schema_with = write_tools_min_role)]
                Option<Role>,
        }
        teams {
            change: #[schema(value_type = Option<TeamSettingsChange>)] TeamSettingsChange,
            view:
                /// Whether teams have members across tenants.
                #[schema(value_type = Object)]
                TeamSettings,
        }
        goals {
            change: #[schema(value_type = Option<GoalRulesChange>)] GoalRulesChange,
            view:
                /// How goals are executed, where it differs from the platform's rules.
                #[schema(value_type = Object)]
                GoalRules,
        }
        access_token_max_days {
            change:
                /// The maximum lifetime of a personal access token.
                u32 [1 to 3650],
            view: Option<u32>,
        }
    }
    platform {
        rate_limits {
            change: #[schema(value_type = Option<RateLimitsChange>)] RateLimitsChange,
            view:
                /// Requests per minute and hour by role, where they differ from the platform's.
                #[schema(value_type = Object)]
                RoleRateLimits,
        }
        quotas {
            change: #[schema(value_type = Option<QuotasChange>)] QuotasChange,
            view:
                /// Quotas of the tenant; a quota that is missing is not limited.
                #[schema(value_type = Object)]
                Quotas,
        }
    }
}

patch! {
    /// The highest classification per role.
    ClearanceChange {
        #[schema(schema_with = viewer_clearance)]
        viewer: ViewerClearance,
        #[schema(schema_with = fields::classification_or_null)]
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

/// Number of requests that one user may make; both limits are required.
#[derive(Deserialize, Serialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateTierChange {
    #[schema(minimum = 1)]
    per_minute: u32,
    #[schema(minimum = 1)]
    per_hour: u32,
}

// 9007199254740991 is 2^53 - 1, the largest integer that every JSON implementation reads exactly (RFC 8259, section 6).
patch! {
    /// Quotas of the tenant.
    QuotasChange {
        /// Maximum number of stored documents.
        documents: u64 [0 to 9007199254740991_u64],
        /// Maximum total size of their files, in bytes.
        bytes: u64 [0 to 9007199254740991_u64],
        /// Requests per day, for all users together: the maximum burst, which is refilled evenly over the day.
        requests_per_day: u64 [0 to 9007199254740991_u64],
        /// Tokens of chat turns per day (UTC).
        tokens_per_day: u64 [0 to 9007199254740991_u64],
        /// The same for each user.
        user_tokens_per_day: u64 [0 to 9007199254740991_u64],
        #[doc = " What all calls to models may cost in a month (UTC): a decimal number of units of the currency that \
            the prices"]
        /// are in.
        cost_per_month: f64 [0.0 to 1_000_000_000.0],
        /// The same for each user.
        user_cost_per_month: f64 [0.0 to 1_000_000_000.0],
        /// Percentage of a token or cost limit from which it is reported as nearly used up; 80 by default.
        soft_percent: u8 [1 to 100],
    }
}

impl OwnSettingsChange {
    /// Validates the values. `expected_version` is the version of `If-Match`.
    pub(crate) fn parse(self, expected_version: Option<i64>) -> Result<SettingsChange, ApiError> {
        to_settings_change(&self, expected_version)
    }
}

impl TenantSettingsChange {
    /// Validates the values. `expected_version` is the version of `If-Match`.
    pub(crate) fn parse(self, expected_version: Option<i64>) -> Result<SettingsChange, ApiError> {
        to_settings_change(&self, expected_version)
    }
}

fn to_settings_change(
    change: &(impl Validate + Serialize),
    expected_version: Option<i64>,
) -> Result<SettingsChange, ApiError> {
    change.validate("")?;
    let patch = serde_json::to_value(change).map_err(|_| ApiError::from_kind(ErrorKind::Internal))?;
    Ok(SettingsChange { patch, expected: expected_version })
}

impl Validate for RateTierChange {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        if self.per_minute == 0 || self.per_hour == 0 {
            return Err(ApiError::invalid_field(pointer, "must be at least one request"));
        }
        Ok(())
    }
}

/// The clearance of viewers, which is at most `internal`.
#[derive(Deserialize, Serialize, Debug)]
struct ViewerClearance(Classification);

impl Validate for ViewerClearance {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        if self.0 > Classification::Internal {
            return Err(ApiError::invalid_field(pointer, "must be public or internal"));
        }
        Ok(())
    }
}

fn viewer_clearance() -> RefOr<Schema> {
    let classes = Classification::ALL.iter().filter(|class| **class <= Classification::Internal);
    fields::enum_schema(classes.map(|class| class.as_str()), true)
}

/// The lowest role that may request writes to plant systems: never `viewer`.
#[derive(Deserialize, Serialize, Debug)]
struct WriteToolsMinRole(Role);

impl Validate for WriteToolsMinRole {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        if self.0 < Role::User {
            return Err(ApiError::invalid_field(pointer, "must be user or admin"));
        }
        Ok(())
    }
}

fn write_tools_min_role() -> RefOr<Schema> {
    let roles = Role::ALL.iter().filter(|role| **role >= Role::User);
    fields::enum_schema(roles.map(|role| role.as_str()), true)
}

/// Instructions of a tenant for the assistant.
#[derive(Deserialize, Serialize, Debug)]
struct Instructions(String);

impl Validate for Instructions {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        let Self(text) = self;
        if text.trim().is_empty() || text.contains('\0') || text.chars().nth(MAX_INSTRUCTIONS_CHARS).is_some() {
            let detail = format!("must have 1 to {MAX_INSTRUCTIONS_CHARS} characters, or be null");
            return Err(ApiError::invalid_field(pointer, detail));
        }
        Ok(())
    }
}

fn instructions() -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .pattern(Some(fields::NOT_BLANK))
        .max_length(Some(MAX_INSTRUCTIONS_CHARS))
        .description(Some(
            "How the assistant answers in this plant. Every model sees it: it must not contain anything confidential.",
        ))
        .build();
    Schema::Object(text).into()
}

/// A text search configuration of PostgreSQL; what is ingested after the change is indexed by it.
#[derive(Deserialize, Serialize, Debug)]
struct Language(String);

impl Validate for Language {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        if !LANGUAGES.contains(&self.0.as_str()) {
            return Err(ApiError::invalid_field(pointer, format!("must be one of {}", LANGUAGES.join(", "))));
        }
        Ok(())
    }
}

fn language() -> RefOr<Schema> {
    fields::enum_schema(LANGUAGES.iter().copied(), true)
}

/// A merge patch within the patch: `null` removes a mapping.
#[derive(Deserialize, Serialize, Debug)]
struct RoleMappings(BTreeMap<String, Option<Role>>);

impl Validate for RoleMappings {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        let is_valid = |name: &String| {
            !name.trim().is_empty() && !name.contains('\0') && name.chars().nth(MAX_MAPPED_NAME_CHARS).is_none()
        };
        if self.0.len() > MAX_MAPPINGS || !self.0.keys().all(is_valid) {
            let detail = format!("must be at most {MAX_MAPPINGS} names of 1 to {MAX_MAPPED_NAME_CHARS} characters");
            return Err(ApiError::invalid_field(pointer, detail));
        }
        Ok(())
    }
}

fn role_mappings() -> RefOr<Schema> {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(fields::NOT_BLANK))
        .max_length(Some(MAX_MAPPED_NAME_CHARS))
        .build();
    let mut mappings = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(fields::role_or_null()))
        .max_properties(Some(MAX_MAPPINGS))
        .build();
    mappings.property_names = Some(Box::new(Schema::Object(name)));
    Schema::Object(mappings).into()
}
