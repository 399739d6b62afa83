//! Routes of channels, through which people are notified of approvals.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, deserialize_present};
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::channel::{
    Channel, ChannelConfigPatch, ChannelKind, ChannelSecret, ChannelTest, Delivery, DeliveryError, EmailTls,
};
use domain::command::{
    CreateChannel, DeleteChannel, GetChannel, ListChannels, ListDeliveries, TestChannel, UpdateChannel,
};
use domain::ids::ChannelId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(send_test))
        .routes(routes!(deliveries))
}

/// Maximum length of a secret, in characters.
const MAX_SECRET_CHARS: usize = 4_000;
/// The port of implicit TLS, for clients that say `"tls": true`.
const IMPLICIT_TLS_PORT: u16 = 465;

/// A new channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Shift lead", "kind": "webhook", "config": {"url": "https://hooks.plant.example/approvals"},
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
}))]
struct NewChannel {
    /// Unique in the tenant.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    #[schema(schema_with = fields::channel_kind)]
    kind: ChannelKind,
    config: NewConfig,
    /// Write-only. For a webhook: the signing key, `whsec_` and base64. For mail: the password, or name and password.
    /// For Teams: a bearer token, if the flow requires one.
    #[schema(schema_with = secret_or_null)]
    secret: Option<NewSecret>,
}

/// A change of a channel. Fields that are missing are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"config": {"to": ["shift@plant.example"]}}))]
struct ChannelChange {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// If the destination changes, the secret is dropped unless a new one is set.
    config: Option<NewConfig>,
    /// Null removes the secret. For a day, messages of a webhook are also signed with the replaced secret.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(schema_with = secret_or_null)]
    secret: PatchField<NewSecret>,
}

/// Destination of messages: `url` for webhooks and Teams, the other fields for mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChannelConfig)]
struct NewConfig {
    /// Teams: the URL of the flow, which is shown without its query.
    #[schema(max_length = 2000)]
    url: Option<String>,
    /// Mail server.
    #[schema(max_length = 2000)]
    host: Option<String>,
    /// By default, the port of `tls`: 587, 465 or 25.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// Sender.
    #[schema(max_length = 2000)]
    from: Option<String>,
    /// Recipients.
    #[schema(min_items = 1, max_items = 50)]
    to: Option<Vec<String>>,
    /// `none`, `starttls` or `tls` (from the first byte). `true` is `starttls`, or `tls` on port 465; `false` is
    /// `none`. The default is `starttls`.
    #[schema(schema_with = tls_or_null)]
    tls: Option<NewTls>,
    /// Name to sign in with, if the secret is only a password; by default, the sender's address.
    #[schema(max_length = 2000)]
    username: Option<String>,
}

/// How the connection to a mail server is encrypted.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "Value")]
enum NewTls {
    Mode(EmailTls),
    IsEncrypted(bool),
}

/// A secret: a text, or name and password.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct NewSecret(ChannelSecret);

/// A channel.
#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
struct ChannelBody {
    id: Uuid,
    name: String,
    #[schema(schema_with = fields::channel_kind)]
    kind: &'static str,
    /// Does not contain secrets; the URL of a Teams flow has no query.
    #[schema(value_type = Object)]
    config: Value,
    /// Whether a secret is stored.
    has_secret: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Result of a test message.
#[derive(Serialize, ToSchema)]
#[schema(as = ChannelTest)]
struct TestBody {
    /// Whether the receiver accepted it.
    ok: bool,
    /// Error code for programs; null if it was accepted.
    code: Option<String>,
    /// Description of the result.
    detail: String,
}

/// A message to a channel.
#[derive(Serialize, ToSchema)]
#[schema(as = ChannelDelivery)]
struct DeliveryBody {
    /// The same for every attempt: part of `webhook-id` and `Message-ID`.
    id: Uuid,
    /// The event that it reports.
    event: &'static str,
    /// The approval that the event belongs to.
    approval_id: Option<Uuid>,
    /// The approver whom it is mailed to alone; null if it goes to the channel's own receivers.
    recipient_id: Option<Uuid>,
    #[schema(schema_with = fields::delivery_status)]
    status: &'static str,
    /// Number of attempts that have started.
    attempts: u32,
    /// Why the last attempt failed.
    last_error: Option<DeliveryErrorBody>,
    /// Time of the next attempt; null if there is none.
    next_attempt_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// When it was delivered or failed permanently.
    finished_at: Option<DateTime<Utc>>,
}

/// Why an attempt failed.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryError)]
struct DeliveryErrorBody {
    code: String,
    detail: String,
}

/// Page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl NewConfig {
    fn parse(self) -> ChannelConfigPatch {
        let Self { url, host, port, from, to, tls, username } = self;
        let tls = tls.map(|tls| match tls {
            NewTls::Mode(mode) => mode,
            NewTls::IsEncrypted(true) if port == Some(IMPLICIT_TLS_PORT) => EmailTls::Implicit,
            NewTls::IsEncrypted(true) => EmailTls::StartTls,
            NewTls::IsEncrypted(false) => EmailTls::None,
        });
        ChannelConfigPatch { host, port, from, to, tls, username, url }
    }
}

impl TryFrom<Value> for NewTls {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let error = "must be none, starttls or tls, or a boolean";
        match value {
            Value::Bool(is_encrypted) => Ok(Self::IsEncrypted(is_encrypted)),
            Value::String(mode) => mode.parse().map(Self::Mode).map_err(|_| error),
            _ => Err(error),
        }
    }
}

impl TryFrom<Value> for NewSecret {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let is_within_bounds = |text: &str| !text.is_empty() && text.chars().count() <= MAX_SECRET_CHARS;
        let secret = serde_json::from_value::<ChannelSecret>(value).ok();
        let secret = secret.filter(|secret| match secret {
            ChannelSecret::Text(text) => is_within_bounds(text),
            ChannelSecret::Login { username, password } => is_within_bounds(username) && is_within_bounds(password),
        });
        secret
            .map(Self)
            .ok_or("must be a text, or an object with username and password, of at most 4000 characters each")
    }
}

fn secret_or_null() -> RefOr<Schema> {
    let text = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_SECRET_CHARS))
            .pattern(Some(r"^[^\x00]+$"))
    };
    let login = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("username", text())
        .property("password", text())
        .required("username")
        .required("password");
    let null = ObjectBuilder::new().schema_type(Type::Null);
    Schema::AnyOf(AnyOfBuilder::new().item(text()).item(login).item(null).build()).into()
}

fn tls_or_null() -> RefOr<Schema> {
    let mode = fields::enum_schema(EmailTls::ALL.iter().map(|mode| mode.as_str()), true);
    let is_encrypted = ObjectBuilder::new().schema_type(Type::Boolean);
    Schema::AnyOf(AnyOfBuilder::new().item(mode).item(is_encrypted).build()).into()
}

impl From<Channel> for ChannelBody {
    fn from(channel: Channel) -> Self {
        Self {
            id: channel.id.as_uuid(),
            kind: channel.kind().as_str(),
            name: channel.name,
            config: serde_json::to_value(&channel.config).unwrap_or_default(),
            has_secret: channel.sealed.is_some(),
            created_at: channel.created_at,
            updated_at: channel.updated_at,
        }
    }
}

impl From<ChannelTest> for TestBody {
    fn from(test: ChannelTest) -> Self {
        match test.error {
            None => Self { ok: true, code: None, detail: "The receiver accepted the message.".to_owned() },
            Some(DeliveryError { code, detail }) => Self { ok: false, code: Some(code), detail },
        }
    }
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        let last_error = delivery.last_error.map(|DeliveryError { code, detail }| DeliveryErrorBody { code, detail });
        Self {
            id: delivery.id.as_uuid(),
            event: delivery.notification.event.as_str(),
            approval_id: delivery.notification.approval.map(|approval| approval.as_uuid()),
            recipient_id: delivery.notification.recipient.map(|user| user.as_uuid()),
            status: delivery.status.as_str(),
            attempts: delivery.attempts,
            last_error,
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            finished_at: delivery.finished_at,
        }
    }
}

/// Lists the tenant's channels, newest first.
#[utoipa::path(
    get, path = "/v1/admin/channels", tag = "admin", params(PageQuery),
    responses((status = 200, body = Listing<ChannelBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Listing<ChannelBody>>, ApiError> {
    let command = ListChannels { page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(Json(Listing::from_page(call.execute(command).await?, Into::into)))
}

/// Creates a channel. Approval policies name it in `channels`.
///
/// The receiver is not contacted; try it with `POST /v1/admin/channels/{id}/test`.
#[utoipa::path(
    post, path = "/v1/admin/channels", tag = "admin", request_body = NewChannel,
    responses((status = 201, body = ChannelBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewChannel>,
) -> Result<(StatusCode, Json<ChannelBody>), ApiError> {
    let command = CreateChannel {
        name: fields::parse_text("/name", &body.name)?,
        kind: body.kind,
        config: body.config.parse(),
        secret: body.secret.map(|NewSecret(secret)| secret),
    };
    Ok((StatusCode::CREATED, Json(call.execute(command).await?.into())))
}

/// Returns a channel.
#[utoipa::path(
    get, path = "/v1/admin/channels/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = ChannelBody))
)]
async fn get(call: AuthenticatedRequest, PathId(id): PathId<ChannelId>) -> Result<Json<ChannelBody>, ApiError> {
    Ok(Json(call.execute(GetChannel { id }).await?.into()))
}

/// Changes a channel.
#[utoipa::path(
    patch, path = "/v1/admin/channels/{id}", tag = "admin", params(("id" = Uuid, Path)),
    request_body = ChannelChange, responses((status = 200, body = ChannelBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<ChannelId>,
    ApiJson(body): ApiJson<ChannelChange>,
) -> Result<Json<ChannelBody>, ApiError> {
    let command = UpdateChannel {
        id,
        name: fields::parse_optional_text("/name", body.name.as_deref())?,
        config: body.config.map(NewConfig::parse),
        secret: body.secret.map(|secret| secret.map(|NewSecret(secret)| secret)),
    };
    Ok(Json(call.execute(command).await?.after.into()))
}

/// Deletes a channel with its messages, and removes it from the approval policies.
#[utoipa::path(
    delete, path = "/v1/admin/channels/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<ChannelId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteChannel { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test message immediately, and returns the result.
#[utoipa::path(
    post, path = "/v1/admin/channels/{id}/test", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = TestBody))
)]
async fn send_test(call: AuthenticatedRequest, PathId(id): PathId<ChannelId>) -> Result<Json<TestBody>, ApiError> {
    Ok(Json(call.execute(TestChannel { id }).await?.into()))
}

/// Lists the messages to a channel, newest first, with their results. Completed ones are kept for 90 days.
#[utoipa::path(
    get, path = "/v1/admin/channels/{id}/deliveries", tag = "admin", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Listing<DeliveryBody>))
)]
async fn deliveries(
    call: AuthenticatedRequest,
    PathId(id): PathId<ChannelId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Listing<DeliveryBody>>, ApiError> {
    let command = ListDeliveries { id, page: page::parse(query.limit, query.cursor.as_deref())? };
    Ok(Json(Listing::from_page(call.execute(command).await?, Into::into)))
}
