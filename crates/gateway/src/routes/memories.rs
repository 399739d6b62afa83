//! Routes of memories: facts about the caller that later prompts contain, and suggestions for them.

use crate::body::{ApiJson, PathId};
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::page::{self, Listing};
use crate::query::ApiQuery;
use crate::state::AppState;
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

/// A new memory.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"content": "I work the night shift in unit 100.", "importance": 0.7}))]
struct NewMemory {
    #[schema(min_length = 1, max_length = 4000)]
    content: String,
    /// Importance, 0 to 1. The most important memories are added to prompts first.
    #[schema(minimum = 0, maximum = 1, default = 0.5)]
    importance: Option<f64>,
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// The memory is not used after this time.
    expires_at: Option<DateTime<Utc>>,
}

/// A change of a memory. Fields that are missing are not changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "active"}))]
struct MemoryChange {
    #[schema(min_length = 1, max_length = 4000)]
    content: Option<String>,
    #[schema(minimum = 0, maximum = 1)]
    importance: Option<f64>,
    /// Replaces all tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
    /// Null removes the expiration time.
    #[serde(default, deserialize_with = "deserialize_present")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
    /// `active` accepts a suggested memory.
    status: Option<AcceptedStatus>,
}

/// The only status that a client can set.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AcceptedStatus {
    /// The memory is used from now on.
    Active,
}

/// Distinguishes a field that is null (`Some(None)`) from one that is missing (`None`).
fn deserialize_present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl MemoryChange {
    fn parse(self) -> Result<MemoryPatch, ApiError> {
        let content: Option<MemoryText> = fields::parse_optional_text("/content", self.content.as_deref())?;
        let tags = self.tags.map(|tags| fields::parse_tags("/tags", &tags)).transpose()?;
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

/// A fact about you that later prompts contain.
#[derive(Serialize, ToSchema)]
#[schema(as = Memory)]
struct MemoryBody {
    id: Uuid,
    content: String,
    importance: f64,
    tags: Vec<String>,
    /// `explicit` if you asked for the memory, `inferred` if the platform inferred it from your messages.
    #[schema(schema_with = fields::memory_origin)]
    source_type: &'static str,
    /// A suggested memory is not used until you set its status to `active`.
    #[schema(schema_with = fields::memory_status)]
    status: &'static str,
    /// Classification of the content.
    #[schema(value_type = String)]
    classification: &'static str,
    /// The message that the memory comes from; null if there is none, or its conversation was deleted.
    source: Option<MemorySourceBody>,
    /// The memory is not used after this time.
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The message that a memory comes from.
#[derive(Serialize, ToSchema)]
#[schema(as = MemorySource)]
struct MemorySourceBody {
    conversation_id: Uuid,
    message_id: Uuid,
}

/// Filter and page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MemoryQuery {
    /// Only memories with this status.
    #[param(schema_with = fields::memory_status)]
    status: Option<MemoryStatus>,
    /// Maximum number of items on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
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

/// Lists your memories and suggested memories, newest first.
#[utoipa::path(
    get, path = "/v1/memories", tag = "memories", params(MemoryQuery),
    responses((status = 200, body = Listing<MemoryBody>))
)]
async fn list(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<MemoryQuery>,
) -> Result<Json<Listing<MemoryBody>>, ApiError> {
    let command = ListMemories { status: query.status, page: page::parse(query.limit, query.cursor.as_deref())? };
    let memories = call.execute(command).await?;
    Ok(Json(Listing::from_page(memories, Into::into)))
}

/// Creates a memory.
#[utoipa::path(
    post, path = "/v1/memories", tag = "memories", request_body = NewMemory,
    responses((status = 201, body = MemoryBody))
)]
async fn create(
    call: AuthenticatedRequest,
    ApiJson(body): ApiJson<NewMemory>,
) -> Result<(StatusCode, Json<MemoryBody>), ApiError> {
    let command = CreateMemory {
        content: fields::parse_text("/content", &body.content)?,
        importance: check_importance(body.importance.unwrap_or(DEFAULT_IMPORTANCE))?,
        tags: fields::parse_tags("/tags", body.tags.iter().flatten())?,
        expires_at: page::check_timestamp("/expires_at", body.expires_at)?,
    };
    let memory = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(memory.into())))
}

/// Changes a memory, or accepts a suggested one.
#[utoipa::path(
    patch, path = "/v1/memories/{id}", tag = "memories", params(("id" = Uuid, Path)), request_body = MemoryChange,
    responses((status = 200, body = MemoryBody))
)]
async fn update(
    call: AuthenticatedRequest,
    PathId(id): PathId<MemoryId>,
    ApiJson(body): ApiJson<MemoryChange>,
) -> Result<Json<MemoryBody>, ApiError> {
    let changed = call.execute(UpdateMemory { id, patch: body.parse()? }).await?;
    Ok(Json(changed.after.into()))
}

/// Deletes a memory.
#[utoipa::path(
    delete, path = "/v1/memories/{id}", tag = "memories", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: AuthenticatedRequest, PathId(id): PathId<MemoryId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteMemory { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
