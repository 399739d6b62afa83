//! The route that streams the events of a goal.

use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::fields;
use crate::query::ApiQuery;
use crate::resume::ResumeQuery;
use crate::settings::GatewaySettings;
use crate::sse;
use crate::state::AppState;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use domain::command::FollowGoal;
use domain::goal::GoalEvent;
use domain::ids::GoalId;
use futures::StreamExt as _;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// One server-sent event of a goal.
#[derive(ToSchema, Debug)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
struct GoalStreamEvent {
    /// Counts from 1 within a goal; `Last-Event-ID` takes it.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    #[schema(schema_with = fields::goal_event_kind)]
    event: String,
    /// JSON: `goal_id`, and with `goal.status` the `status`, with `plan.changed` the `version`, with `step.started`
    /// `step_id`, `agent`, `title` and `attempt`, with `step.finished` `step_id` and `status`; an `error` if there is
    /// one.
    data: String,
}

/// Streams a goal's events: first the past ones, then new ones as they occur. The stream closes once the goal has
/// ended.
#[utoipa::path(
    get, path = "/v1/goals/{id}/events", tag = "goals",
    params(
        ("id" = Uuid, Path), ResumeQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last event that you received"),
    ),
    responses((status = 200, description = "The events", body = GoalStreamEvent, content_type = "text/event-stream"))
)]
async fn events(
    call: AuthenticatedRequest,
    PathId(id): PathId<GoalId>,
    State(settings): State<Arc<GatewaySettings>>,
    ApiQuery(query): ApiQuery<ResumeQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = query.last_event_id(&headers)?;
    let events = call.execute(FollowGoal { id, after }).await?;
    // A goal may take days, in which the request would count as in flight.
    call.release_in_flight();
    Ok(sse::response(events.map(to_sse), settings.keep_alive_interval))
}

fn to_sse(GoalEvent { seq, kind, data }: GoalEvent) -> Result<Event, axum::Error> {
    Event::default().id(seq.to_string()).event(kind.as_str()).json_data(data)
}
