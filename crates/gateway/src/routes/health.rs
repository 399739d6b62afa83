//! Liveness and readiness probes.

use crate::readiness::{Component, Readiness};
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Returns the probes of a server that is starting, as a router without state.
pub(super) fn starting_probes(readiness: Arc<dyn Readiness>) -> Router {
    let ready = move || {
        let readiness = Arc::clone(&readiness);
        async move { readiness_response(readiness.check().await) }
    };
    Router::new().route("/health", get(health)).route("/v1/health", get(health)).route("/ready", get(ready))
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(health_v1)).routes(routes!(ready))
}

/// The process is running.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    /// The server's version.
    version: &'static str,
}

/// Status of the server and its components.
#[derive(Serialize, ToSchema)]
struct ReadinessReport {
    /// `ready`, or `unavailable` if a required component is down.
    #[schema(example = "ready")]
    status: &'static str,
    components: Vec<ComponentReport>,
}

/// Status of one component.
#[derive(Serialize, ToSchema)]
struct ComponentReport {
    #[schema(example = "database")]
    name: String,
    /// `up` or `down`.
    #[schema(example = "up")]
    status: &'static str,
    /// Whether the server is unavailable while this component is down.
    required: bool,
    detail: Option<String>,
}

/// Liveness: the process is running. Does not check its dependencies.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Liveness, under the versioned path.
#[utoipa::path(get, path = "/v1/health", tag = "health", responses((status = 200, body = Health)))]
async fn health_v1() -> Json<Health> {
    health().await
}

/// Readiness: checks each component that the server depends on.
#[utoipa::path(
    get, path = "/ready", tag = "health",
    responses(
        (status = 200, description = "All required components are up", body = ReadinessReport),
        (status = 503, description = "A required component is down", body = ReadinessReport),
    )
)]
async fn ready(State(readiness): State<Arc<dyn Readiness>>) -> (StatusCode, Json<ReadinessReport>) {
    readiness_response(readiness.check().await)
}

fn readiness_response(components: Vec<Component>) -> (StatusCode, Json<ReadinessReport>) {
    let is_unavailable = components.iter().any(|component| component.required && !component.is_up);
    let (code, status) =
        if is_unavailable { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") } else { (StatusCode::OK, "ready") };
    let components = components
        .into_iter()
        .map(|component| ComponentReport {
            name: component.name,
            status: if component.is_up { "up" } else { "down" },
            required: component.required,
            detail: component.detail,
        })
        .collect();
    (code, Json(ReadinessReport { status, components }))
}
