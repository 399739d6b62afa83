//! Routes of the memories: what a user asked the platform to remember.

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
use domain::command::{CreateMemory, DeleteMemory, ListMemories};
use domain::ids::MemoryId;
use domain::memory::Memory;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Importance of a memory that is created without one.
const DEFAULT_IMPORTANCE: f64 = 0.5;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(delete))
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
}

/// Something remembered.
#[derive(Serialize, ToSchema)]
#[schema(as = Memory)]
struct MemoryBody {
    id: Uuid,
    content: String,
    importance: f64,
    tags: Vec<String>,
    /// How far it may travel.
    #[schema(value_type = String)]
    classification: &'static str,
    created_at: DateTime<Utc>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MemoryQuery {
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
            classification: memory.classification.as_str(),
            created_at: memory.created_at,
        }
    }
}

/// Lists what you asked to remember, the newest first.
#[utoipa::path(
    get, path = "/v1/memories", tag = "memories", params(MemoryQuery),
    responses((status = 200, body = Listing<MemoryBody>))
)]
async fn list(call: ApiCall, ApiQuery(query): ApiQuery<MemoryQuery>) -> Result<Json<Listing<MemoryBody>>, ApiError> {
    let command = ListMemories { page: page::parse(query.limit, query.cursor.as_deref())? };
    let memories = call.execute(command).await?;
    Ok(Json(Listing::from_page(memories, Into::into)))
}

/// Remembers something.
#[utoipa::path(
    post, path = "/v1/memories", tag = "memories", request_body = NewMemory,
    responses((status = 201, body = MemoryBody))
)]
async fn create(call: ApiCall, ApiJson(body): ApiJson<NewMemory>) -> Result<(StatusCode, Json<MemoryBody>), ApiError> {
    let importance = body.importance.unwrap_or(DEFAULT_IMPORTANCE);
    if !(0.0..=1.0).contains(&importance) {
        return Err(ApiError::invalid_field("/importance", "must be from 0 to 1"));
    }
    let command = CreateMemory {
        content: wire::parse_text("/content", &body.content)?,
        importance,
        tags: wire::parse_tags("/tags", body.tags.iter().flatten())?,
    };
    let memory = call.execute(command).await?;
    Ok((StatusCode::CREATED, Json(memory.into())))
}

/// Forgets something.
#[utoipa::path(
    delete, path = "/v1/memories/{id}", tag = "memories", params(("id" = Uuid, Path)), responses((status = 204))
)]
async fn delete(call: ApiCall, PathId(id): PathId<MemoryId>) -> Result<StatusCode, ApiError> {
    call.execute(DeleteMemory { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
