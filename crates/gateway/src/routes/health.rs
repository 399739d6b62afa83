//! Whether the process lives, and whether it can work.

use crate::app::App;
use crate::error::ApiError;
use crate::headers::security_headers;
use crate::readiness::{Component, Readiness};
use crate::trace::{Tracer, trace};
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use domain::error::ErrorKind;
use domain::ports::IdGen;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The edge of a server that cannot serve yet: it lives, it says what it waits for, and it asks everybody else to come
/// back.
pub(super) fn starting(readiness: Arc<dyn Readiness>, ids: Arc<dyn IdGen>) -> Router {
    let ready = move || {
        let readiness = Arc::clone(&readiness);
        async move { report(readiness.check().await) }
    };
    let not_yet = || async { ApiError::new(ErrorKind::Unavailable, "The server is starting; come back in a moment.") };
    Router::new()
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/ready", get(ready))
        .fallback(not_yet)
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(Tracer { ids, metrics: None }, trace))
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(health_v1)).routes(routes!(ready))
}

/// The process lives.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    /// The server's version.
    version: &'static str,
}

/// Which parts work.
#[derive(Serialize, ToSchema)]
struct ReadinessReport {
    /// `ready`, or `unavailable` where a required part is down.
    #[schema(example = "ready")]
    status: &'static str,
    components: Vec<ComponentReport>,
}

/// One part.
#[derive(Serialize, ToSchema)]
struct ComponentReport {
    #[schema(example = "database")]
    name: String,
    /// `up` or `down`.
    #[schema(example = "up")]
    status: &'static str,
    /// Whether the server can do nothing useful without it.
    required: bool,
    detail: Option<String>,
}

/// Liveness: the process runs. Says nothing of what it depends on.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Liveness, under the versioned address.
#[utoipa::path(get, path = "/v1/health", tag = "health", responses((status = 200, body = Health)))]
async fn health_v1() -> Json<Health> {
    health().await
}

/// Readiness: each part that the server rests on.
#[utoipa::path(
    get, path = "/ready", tag = "health",
    responses(
        (status = 200, description = "Every required part works", body = ReadinessReport),
        (status = 503, description = "A required part is down", body = ReadinessReport),
    )
)]
async fn ready(State(app): State<App>) -> (StatusCode, Json<ReadinessReport>) {
    report(app.readiness.check().await)
}

fn report(components: Vec<Component>) -> (StatusCode, Json<ReadinessReport>) {
    let down = components.iter().any(|part| part.required && !part.ok);
    let (code, status) =
        if down { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") } else { (StatusCode::OK, "ready") };
    let components = components
        .into_iter()
        .map(|part| ComponentReport {
            name: part.name,
            status: if part.ok { "up" } else { "down" },
            required: part.required,
            detail: part.detail,
        })
        .collect();
    (code, Json(ReadinessReport { status, components }))
}
