//! Routes that replay and cancel a run.

use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::query::ApiQuery;
use crate::resume::ResumeQuery;
use crate::settings::GatewaySettings;
use crate::sse::{self, StreamEvent};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use domain::command::{CancelRun, ResumeRun};
use domain::ids::RunId;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(cancel))
}

/// A run that is being cancelled.
#[derive(Serialize, ToSchema)]
struct Cancelling {
    run_id: Uuid,
    #[schema(example = "cancelling")]
    status: &'static str,
}

/// Streams a run's events: first the past ones, then new ones as they occur.
#[utoipa::path(
    get, path = "/v1/runs/{id}/events", tag = "chat",
    params(
        ("id" = Uuid, Path), ResumeQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last event that you received"),
    ),
    responses((status = 200, description = "The events", body = StreamEvent, content_type = "text/event-stream"))
)]
async fn events(
    call: AuthenticatedRequest,
    PathId(run): PathId<RunId>,
    State(settings): State<Arc<GatewaySettings>>,
    ApiQuery(query): ApiQuery<ResumeQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = query.last_event_id(&headers)?;
    let events = call.execute(ResumeRun { run, after }).await?;
    Ok(sse::run_response(events, call.info, settings.keep_alive_interval))
}

/// Cancels a run. The text generated so far is kept, and the events end with `finish_reason: "cancelled"`.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "chat", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The run is being cancelled, or has already ended", body = Cancelling))
)]
async fn cancel(
    call: AuthenticatedRequest,
    PathId(run): PathId<RunId>,
) -> Result<(StatusCode, Json<Cancelling>), ApiError> {
    call.execute(CancelRun { run }).await?;
    let body = Cancelling { run_id: run.as_uuid(), status: "cancelling" };
    Ok((StatusCode::ACCEPTED, Json(body)))
}
