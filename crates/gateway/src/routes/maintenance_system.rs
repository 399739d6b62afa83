//! Routes of the maintenance system to which approved work orders are written.

use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, deserialize_present};
use crate::state::AppState;
use axum::Json;
use chrono::{DateTime, Utc};
use domain::command::{GetMaintenanceSystem, PutMaintenanceSystem};
use domain::maintenance::{MaintenanceAuth, MaintenanceKind, MaintenanceOptions, MaintenanceSettings, SecretChange};
use domain::text::{BoundedText, ShortText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Maximum length of an address, in characters.
const MAX_URL_CHARS: usize = 1_000;
/// Maximum length of a secret, in characters.
const MAX_SECRET_CHARS: usize = 4_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// A maintenance system.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "kind": "rest", "config": {"base_url": "https://cmms.example/api"}, "secret": "a bearer token",
}))]
struct NewMaintenanceSystem {
    #[schema(schema_with = fields::maintenance_kind)]
    kind: MaintenanceKind,
    #[serde(default)]
    config: NewConfig,
    /// A bearer token, for `maximo` an API key, or `user:password`. If missing, the current one is kept, provided that
    /// kind and address stay the same. Null removes it. It is never returned.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<String>, write_only, min_length = 1, max_length = 4000)]
    secret: PatchField<String>,
}

/// Settings for connecting to a maintenance system and for writing orders in it.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schema(as = NewMaintenanceConfig)]
struct NewConfig {
    /// Address of the interface; required by all kinds except `builtin`.
    #[schema(max_length = 1000)]
    base_url: Option<String>,
    /// `rest` and `sap_pm`: how the secret is sent. The default is `bearer` for `rest` and `basic` for `sap_pm`.
    #[schema(schema_with = fields::maintenance_auth_or_null)]
    auth: Option<MaintenanceAuth>,
    /// `maximo`: the site of the orders.
    #[schema(min_length = 1, max_length = 128)]
    site: Option<String>,
    /// `maximo`: the object structure; by default `mxapisr`, service requests.
    #[schema(pattern = "^[A-Za-z0-9_]{1,64}$")]
    object_structure: Option<String>,
    /// `maximo` and `sap_pm`: the field that holds the external reference of 36 characters; by default `externalrecid`
    /// or `YY1_ExternalReference`.
    #[schema(pattern = "^[A-Za-z0-9_]{1,64}$")]
    reference_field: Option<String>,
    /// `sap_pm`: the type of notifications; by default `M1`.
    #[schema(pattern = "^[A-Za-z0-9_]{1,64}$")]
    notification_type: Option<String>,
}

/// The tenant's maintenance system.
#[derive(Serialize, ToSchema)]
#[schema(as = MaintenanceSystem)]
struct MaintenanceSystemBody {
    #[schema(schema_with = fields::maintenance_kind)]
    kind: &'static str,
    config: ConfigBody,
    /// Whether a secret is stored.
    has_secret: bool,
    /// Null if the system was never set.
    updated_at: Option<DateTime<Utc>>,
}

/// Settings of a maintenance system; those that were not set are null.
#[derive(Serialize, ToSchema)]
#[schema(as = MaintenanceConfig)]
struct ConfigBody {
    base_url: Option<String>,
    #[schema(schema_with = fields::maintenance_auth_or_null)]
    auth: Option<&'static str>,
    site: Option<String>,
    object_structure: Option<String>,
    reference_field: Option<String>,
    notification_type: Option<String>,
}

impl From<MaintenanceSettings> for MaintenanceSystemBody {
    fn from(settings: MaintenanceSettings) -> Self {
        let MaintenanceSettings { kind, options, sealed_secret, updated_at } = settings;
        let MaintenanceOptions { base_url, auth, site, object_structure, reference_field, notification_type } = options;
        let auth = auth.map(MaintenanceAuth::as_str);
        let config = ConfigBody { base_url, auth, site, object_structure, reference_field, notification_type };
        Self { kind: kind.as_str(), config, has_secret: sealed_secret.is_some(), updated_at }
    }
}

impl NewMaintenanceSystem {
    fn parse(self) -> Result<PutMaintenanceSystem, ApiError> {
        let secret = match self.secret {
            None => SecretChange::Keep,
            Some(None) => SecretChange::Remove,
            Some(Some(secret)) => {
                let secret: BoundedText<MAX_SECRET_CHARS> = fields::parse_text("/secret", &secret)?;
                SecretChange::replace(secret.into_string())
            }
        };
        self.config.check_kind(self.kind)?;
        Ok(PutMaintenanceSystem { kind: self.kind, options: self.config.parse()?, secret })
    }
}

impl NewConfig {
    /// Refuses options that the kind does not use, which would otherwise be ignored silently.
    fn check_kind(&self, kind: MaintenanceKind) -> Result<(), ApiError> {
        use MaintenanceKind::{Builtin, Maximo, Rest, SapPm};
        let options: [(&str, bool, &[MaintenanceKind]); 6] = [
            ("base_url", self.base_url.is_some(), &[Rest, Maximo, SapPm]),
            ("auth", self.auth.is_some(), &[Rest, SapPm]),
            ("site", self.site.is_some(), &[Maximo]),
            ("object_structure", self.object_structure.is_some(), &[Maximo]),
            ("reference_field", self.reference_field.is_some(), &[Maximo, SapPm]),
            ("notification_type", self.notification_type.is_some(), &[SapPm]),
        ];
        for (name, is_set, kinds) in options {
            if is_set && !kinds.contains(&kind) {
                let detail = format!("must be missing or null for a system of the kind {kind}");
                return Err(ApiError::invalid_field(format!("/config/{name}"), detail));
            }
        }
        if self.base_url.is_none() && kind != Builtin {
            return Err(ApiError::invalid_field("/config/base_url", "must be the address of the system's interface"));
        }
        Ok(())
    }

    fn parse(self) -> Result<MaintenanceOptions, ApiError> {
        let base_url: Option<BoundedText<MAX_URL_CHARS>> =
            fields::parse_optional_text("/config/base_url", self.base_url.as_deref())?;
        let site: Option<ShortText> = fields::parse_optional_text("/config/site", self.site.as_deref())?;
        Ok(MaintenanceOptions {
            base_url: base_url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            auth: self.auth,
            site: site.map(BoundedText::into_string),
            object_structure: parse_identifier("/config/object_structure", self.object_structure)?,
            reference_field: parse_identifier("/config/reference_field", self.reference_field)?,
            notification_type: parse_identifier("/config/notification_type", self.notification_type)?,
        })
    }
}

/// Parses the name of a field, type or object structure. It becomes a part of addresses and of search conditions.
fn parse_identifier(pointer: &str, value: Option<String>) -> Result<Option<String>, ApiError> {
    let is_identifier = |name: &String| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match value {
        Some(name) if !is_identifier(&name) => {
            Err(ApiError::invalid_field(pointer, "must be 1 to 64 letters, digits and underscores"))
        }
        name => Ok(name),
    }
}

/// Returns the maintenance system, without its secret.
#[utoipa::path(
    get, path = "/v1/admin/maintenance-system", tag = "plant",
    responses((status = 200, body = MaintenanceSystemBody))
)]
async fn get(call: AuthenticatedRequest) -> Result<Json<MaintenanceSystemBody>, ApiError> {
    Ok(Json(call.execute(GetMaintenanceSystem).await?.into()))
}

/// Sets the maintenance system to which approved work orders are written.
///
/// Its address must not be link-local or that of a metadata service; private addresses must be in a network that the
/// configuration allows. A change of kind or address removes the secret unless the request sets a new one. Requests
/// that approvers saw with the earlier system are not executed with the new one.
#[utoipa::path(
    put, path = "/v1/admin/maintenance-system", tag = "plant", request_body = NewMaintenanceSystem,
    responses((status = 200, body = MaintenanceSystemBody))
)]
async fn put(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewMaintenanceSystem>,
) -> Result<Json<MaintenanceSystemBody>, ApiError> {
    Ok(Json(call.execute(body.parse()?).await?.after.into()))
}
