//! Routes of the memories: what is remembered for a user, and what is suggested to be.

use crate::body::{ApiJson, PathId};
use crate::caller::ApiCall;
use crate::error::ApiError;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
use crate::wire;
use axum::Json;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::command::{CreateMemory, DeleteMemory, ListMemories, UpdateMemory};
use domain::ids::MemoryId;
use domain::memory::{DEFAULT_IMPORTANCE, Memory, MemoryPatch, MemoryStatus};
use domain::text::{MemoryText, ShortText};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(update, delete))
}

/// Something to remember.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"content": "I work the night shift in unit 100.", "importance": 0.7}))]
struct NewMemory {
    #[schema(min_length = 1, max_length = 4000)]
    content: String,
    /// 0 to 1; the most important memories go into the prompt first.
    #[schema(minimum = 0, maximum = 1, default = 0.5)]
    importance: Option<f64>,
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// From then on it is no longer used.
    expires_at: Option<DateTime<Utc>>,
}

/// What to change of a memory. A field that is missing stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "active"}))]
struct MemoryChange {
    #[schema(min_length = 1, max_length = 4000)]
    content: Option<String>,
    #[schema(minimum = 0, maximum = 1)]
    importance: Option<f64>,
    /// In place of all before.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// Null: it stays in use.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
    /// Accepts a suggestion.
    status: Option<AcceptedStatus>,
}

/// The status that a memory can be given.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AcceptedStatus {
    /// It is used from now on.
    Active,
}

/// Tells a field that is null from one that is missing.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl MemoryChange {
    fn parse(self) -> Result<MemoryPatch, ApiError> {
        let content: Option<MemoryText> = wire::parse_optional_text("/content", self.content.as_deref())?;
        let tags = self.tags.map(|tags| wire::parse_tags("/tags", &tags)).transpose()?;
        let expires_at = self.expires_at.map(|at| page::check_timestamp("/expires_at", at)).transpose()?;
        Ok(MemoryPatch {
            content: content.map(MemoryText::into_string),
            importance: self.importance.map(check_importance).transpose()?,
            tags: tags.map(|tags| tags.into_iter().map(ShortText::into_string).collect()),
            expires_at,
            activate: self.status.is_some(),
        })
    }
}

fn check_importance(importance: f64) -> Result<f64, ApiError> {
    if (0.0..=1.0).contains(&importance) {
        Ok(importance)
    } else {
        Err(ApiError::invalid_field("/importance", "must be from 0 to 1"))
    }
}

/// Something remembered.
#[derive(Serialize, ToSchema)]
#[schema(as = Memory)]
struct MemoryBody {
    id: Uuid,
    content: String,
    importance: f64,
    tags: Vec<String>,
    /// `explicit` where you asked for it, `inferred` where it was concluded from what you wrote.
    #[schema(schema_with = wire::memory_origin)]
    source_type: &'static str,
    /// A suggested memory is used only once you make it active.
    #[schema(schema_with = wire::memory_status)]
    status: &'static str,
    /// How far it may travel.
    #[schema(value_type = String)]
    classification: &'static str,
    /// Where you said it.
    source: Option<MemorySourceBody>,
    /// From then on it is no longer used.
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A message of yours.
#[derive(Serialize, ToSchema)]
#[schema(as = MemorySource)]
struct MemorySourceBody {
    conversation_id: Uuid,
    message_id: Uuid,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MemoryQuery {
    /// Only with this status.
    #[param(schema_with = wire::memory_status)]
    status: Option<MemoryStatus>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl From<Memory> for MemoryBody {
    fn from(memory: Memory) -> Self {
        Self {
            id: memory.id.as_uuid(),
            content: memory.content,
            importance: memory.importance,
            tags: memory.tags,
            source_type: memory.origin.as_str(),
            status: memory.status.as_str(),
            classification: memory.classification.as_str(),
            source: memory.source.map(|source| MemorySourceBody {
                conversation_id: source.conversation.as_uuid(),
                message_id: source.message.as_uuid(),
            }),
            expires_at: memory.expires_at,
            created_at: memory.created_at,
            updated_at: memory.updated_at,
        }
    }
}

/// Lists what is remembered for you or suggested to be, the newest first.
#[utoipa::path(
    get, path = "/v1/memories", tag = "memories", params(MemoryQuery),
    responses((status = 200, body = Listing<MemoryBody>))
)]
async fn list(call: ApiCall, ApiQuery(query): ApiQuery<MemoryQuery>) -> Result<Json<Listing<MemoryBody>>, ApiError> {
    let command = ListMemories { status: query.status, page: page::parse(query.limit, query.cursor.as_deref())? };
    let memories = call.execute(command).await?;
    Ok(Json(Listing::from_page(memories, Into::into)))
}

/// Remembers something.
#[utoipa::path(
    post, path = "/v1/memories", tag = "memories", request_body = NewMemory,
    responses((status = 201, body = MemoryBody))
)]
async fn create(call: ApiCall, ApiJson(body): ApiJson<NewMemory>) -> Result<(StatusCode, Json<MemoryBody>), ApiError> {
    let command = CreateMemory {
        content: wire::parse_text("/content", &body.content)?,
        importance: check_importance(body.importance.unwrap_or(DEFAULT_IMPORTANCE))?,
        tags: wire::parse_tags("/tags", body.tags.iter().flatten())?,
        expires_at: page::check_timestamp("/expires_at", body.expires_at)?,
    };
    let memory = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(memory.into())))
}

/// Changes what is remembered, or accepts a suggestion.
#[utoipa::path(
    patch, path = "/v1/memories/{id}", tag = "memories", params(("id" = Uuid, Path)), request_body = MemoryChange,
    responses((status = 200, body = MemoryBody))
)]
async fn update(
    call: ApiCall,
    PathId(id): PathId<MemoryId>,
    ApiJson(body): ApiJson<MemoryChange>,
) -> Result<Json<MemoryBody>, ApiError> {
    let changed = call.execute(UpdateMemory { id, patch: body.parse()? }).await?;
    Ok(Json(changed.after.into()))
}

/// Forgets something.
#[utoipa::path(
    delete, path = "/v1/memories/{id}", tag = "memories", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: ApiCall, PathId(id): PathId<MemoryId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteMemory { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
