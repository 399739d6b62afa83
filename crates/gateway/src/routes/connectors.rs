//! Routes of connectors to plant systems. Secrets are write-only.

use super::connector_tags::{NewTagBody, TagBody, parse_tags};
use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, check_range, deserialize_present};
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{
    ConnectorPatch, CreateConnector, DeleteConnector, GetConnector, ListConnectors, NewConnector, UpdateConnector,
};
use domain::ids::ConnectorId;
use domain::plant::{ConnectorCredential, ConnectorDetails, ConnectorKind, Recording};
use domain::role::Classification;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Default time after which a value is stale, in seconds.
const DEFAULT_STALE_AFTER_S: u32 = 300;
/// Maximum of that time, in seconds: one week.
const MAX_STALE_AFTER_S: u32 = 604_800;
/// Maximum length of a user name, password or token.
const MAX_SECRET_CHARS: usize = 8_192;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

fn connector_kind() -> RefOr<Schema> {
    fields::enum_schema(ConnectorKind::ALL.iter().map(|kind| kind.as_str()), false)
}

/// A new connector.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "plc7", "kind": "opcua", "endpoint": "opc.tcp://plc7.plant.example:4840",
    "config": {"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"},
    "secret": {"username": "reader", "password": "…"}, "classification": "internal", "stale_after_s": 60,
    "tags": [{"tag": "PIT-1001", "address": "ns=2;s=PIT-1001", "unit": "bar"}],
    "record": {"interval_s": 60, "keep_days": 90}, "enabled": true
}))]
struct NewConnectorBody {
    /// Unique within the tenant.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    #[schema(schema_with = connector_kind)]
    kind: ConnectorKind,
    /// URL of the plant system. The simulator has none.
    #[schema(max_length = 512)]
    endpoint: Option<String>,
    /// The kind's own settings.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    secret: Option<SecretBody>,
    /// Classification of everything that is read through the connector; `internal` by default.
    #[schema(schema_with = fields::classification_or_null)]
    classification: Option<Classification>,
    /// Seconds after which a value is stale.
    #[schema(minimum = 1, maximum = 604800, default = 300)]
    stale_after_s: Option<u32>,
    /// Its tags. A simulated plant that is created without tags has default ones.
    #[schema(max_items = 10000)]
    tags: Option<Vec<NewTagBody>>,
    record: Option<RecordBody>,
    /// Whether the connector is used; true by default.
    enabled: Option<bool>,
}

/// A change of a connector. Fields that are missing are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stale_after_s": 120}))]
struct ConnectorChange {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// A new endpoint drops the secret and the trusted certificate.
    #[schema(max_length = 512)]
    endpoint: Option<String>,
    /// Replaces the kind's own settings.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// Null removes the secret.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<SecretBody>)]
    secret: PatchField<SecretBody>,
    #[schema(schema_with = fields::classification_or_null)]
    classification: Option<Classification>,
    #[schema(minimum = 1, maximum = 604800)]
    stale_after_s: Option<u32>,
    /// Replaces all tags. Tags whose name stays the same keep their recorded samples.
    #[schema(max_items = 10000)]
    tags: Option<Vec<NewTagBody>>,
    /// Null ends the recording.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<RecordBody>)]
    record: PatchField<RecordBody>,
    enabled: Option<bool>,
}

/// A credential: a user name with a password, or a token. It is never returned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorSecret)]
struct SecretBody {
    #[schema(max_length = 8192)]
    username: Option<String>,
    #[schema(max_length = 8192)]
    password: Option<String>,
    #[schema(max_length = 8192)]
    token: Option<String>,
}

/// Settings for recording the tags.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Recording)]
struct RecordBody {
    /// Seconds between two samples of a tag.
    #[schema(minimum = 1, maximum = 86400)]
    interval_s: u32,
    /// Days that samples are kept.
    #[schema(minimum = 1, maximum = 3650)]
    keep_days: u32,
}

/// A connector to a plant system.
#[derive(Serialize, ToSchema)]
#[schema(as = Connector)]
pub(super) struct ConnectorBody {
    id: Uuid,
    name: String,
    #[schema(schema_with = connector_kind)]
    kind: &'static str,
    /// Null for a simulated plant.
    endpoint: Option<String>,
    config: Value,
    /// Whether a secret is stored. It is never returned.
    has_secret: bool,
    #[schema(schema_with = fields::classification)]
    classification: &'static str,
    stale_after_s: u32,
    tags: Vec<TagBody>,
    /// Null if its tags are not recorded.
    record: Option<RecordBody>,
    enabled: bool,
    /// SHA-256 of the certificate that an administrator trusts.
    trusted_thumbprint: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConnectorQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl SecretBody {
    fn parse(self) -> Result<ConnectorCredential, ApiError> {
        let is_bounded = |text: &String| !text.is_empty() && text.chars().count() <= MAX_SECRET_CHARS;
        match self {
            Self { username: Some(username), password: Some(password), token: None } if is_bounded(&username) => {
                if password.chars().count() > MAX_SECRET_CHARS {
                    let detail = format!("must be at most {MAX_SECRET_CHARS} characters long");
                    return Err(ApiError::invalid_field("/secret/password", detail));
                }
                Ok(ConnectorCredential::Password { username, password })
            }
            Self { username: None, password: None, token: Some(token) } if is_bounded(&token) => {
                Ok(ConnectorCredential::Token { token })
            }
            _ => Err(ApiError::invalid_field("/secret", "must be a username with a password, or a token")),
        }
    }
}

impl RecordBody {
    fn parse(self) -> Result<Recording, ApiError> {
        check_range(&self.interval_s, 1, 86_400, "/record/interval_s")?;
        check_range(&self.keep_days, 1, 3_650, "/record/keep_days")?;
        Ok(Recording { interval_s: self.interval_s, keep_days: self.keep_days })
    }
}

fn parse_stale_after(seconds: u32) -> Result<u32, ApiError> {
    check_range(&seconds, 1, MAX_STALE_AFTER_S, "/stale_after_s")?;
    Ok(seconds)
}

fn parse_config(config: Map<String, Value>) -> Result<Value, ApiError> {
    fields::parse_metadata("/config", config)
}

impl NewConnectorBody {
    fn parse(self) -> Result<NewConnector, ApiError> {
        Ok(NewConnector {
            name: fields::parse_text("/name", &self.name)?,
            kind: self.kind,
            endpoint: self.endpoint.map(|endpoint| endpoint.trim().to_owned()).unwrap_or_default(),
            config: parse_config(self.config.unwrap_or_default())?,
            secret: self.secret.map(SecretBody::parse).transpose()?,
            classification: self.classification.unwrap_or(Classification::Internal),
            stale_after_s: parse_stale_after(self.stale_after_s.unwrap_or(DEFAULT_STALE_AFTER_S))?,
            tags: parse_tags(self.tags.unwrap_or_default())?,
            recording: self.record.map(RecordBody::parse).transpose()?,
            is_enabled: self.enabled.unwrap_or(true),
        })
    }
}

impl ConnectorChange {
    fn parse(self) -> Result<ConnectorPatch, ApiError> {
        let secret = self.secret.map(|secret| secret.map(SecretBody::parse).transpose());
        let recording = self.record.map(|record| record.map(RecordBody::parse).transpose());
        Ok(ConnectorPatch {
            name: fields::parse_optional_text("/name", self.name.as_deref())?,
            endpoint: self.endpoint.map(|endpoint| endpoint.trim().to_owned()),
            config: self.config.map(parse_config).transpose()?,
            secret: secret.transpose()?,
            classification: self.classification,
            stale_after_s: self.stale_after_s.map(parse_stale_after).transpose()?,
            tags: self.tags.map(parse_tags).transpose()?,
            recording: recording.transpose()?,
            is_enabled: self.enabled,
        })
    }
}

impl From<ConnectorDetails> for ConnectorBody {
    fn from(ConnectorDetails { connector, tags }: ConnectorDetails) -> Self {
        Self {
            id: connector.id.as_uuid(),
            name: connector.name,
            kind: connector.kind.as_str(),
            endpoint: Some(connector.endpoint).filter(|endpoint| !endpoint.is_empty()),
            config: connector.config,
            has_secret: connector.secret.is_some(),
            classification: connector.classification.as_str(),
            stale_after_s: connector.stale_after_s,
            tags: tags.into_iter().map(Into::into).collect(),
            record: connector.recording.map(|Recording { interval_s, keep_days }| RecordBody { interval_s, keep_days }),
            enabled: connector.is_enabled,
            trusted_thumbprint: connector.trusted_certificate.map(|thumbprint| thumbprint.0),
            created_at: connector.created_at,
            updated_at: connector.updated_at,
        }
    }
}

/// Lists the tenant's connectors with their tags, newest first.
#[utoipa::path(
    get, path = "/v1/admin/connectors", tag = "plant", params(ConnectorQuery),
    responses((status = 200, body = Listing<ConnectorBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<ConnectorQuery>,
) -> Result<Json<Listing<ConnectorBody>>, ApiError> {
    let command = ListConnectors { page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(Json(Listing::from_page(call.execute(command).await?, Into::into)))
}

/// Creates a connector. The plant system is not contacted yet.
#[utoipa::path(
    post, path = "/v1/admin/connectors", tag = "plant", request_body = NewConnectorBody,
    responses((status = 201, body = ConnectorBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewConnectorBody>,
) -> Result<(StatusCode, Json<ConnectorBody>), ApiError> {
    let created = call.execute(CreateConnector { connector: body.parse()? }).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// Returns a connector with its tags.
#[utoipa::path(
    get, path = "/v1/admin/connectors/{id}", tag = "plant", params(("id" = Uuid, Path)),
    responses((status = 200, body = ConnectorBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<ConnectorId>) -> Result<Json<ConnectorBody>, ApiError> {
    Ok(Json(call.execute(GetConnector { id }).await?.into()))
}

/// Changes a connector. The plant process then reopens it.
#[utoipa::path(
    patch, path = "/v1/admin/connectors/{id}", tag = "plant", params(("id" = Uuid, Path)),
    request_body = ConnectorChange, responses((status = 200, body = ConnectorBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConnectorId>,
    ApiJson(body): ApiJson<ConnectorChange>,
) -> Result<Json<ConnectorBody>, ApiError> {
    let changed = call.execute(UpdateConnector { id, patch: body.parse()? }).await?;
    Ok(Json(changed.after.into()))
}

/// Deletes a connector with its tags.
#[utoipa::path(
    delete, path = "/v1/admin/connectors/{id}", tag = "plant", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<ConnectorId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteConnector { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
