//! Puts the HTTP server together: routes, layers, shared state.

use crate::bounds::bound;
use crate::caller::authenticate;
use crate::error::ApiError;
use crate::headers::security_headers;
use crate::idempotency::idempotent;
use crate::lingering_close::lingering_close;
use crate::load::{LoadLimit, shed_load};
use crate::metrics::HttpMetrics;
use crate::peer_limit::{PeerLimit, limit_peers};
use crate::rate_limit::RateLimiter;
use crate::readiness::Readiness;
use crate::settings::GatewaySettings;
use crate::state::AppState;
use crate::{openapi, routes, trace};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use domain::ports::IdGen;
use policy::gate::Gate;
use std::any::Any;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

/// What the gateway is given beside the gate.
#[derive(Clone)]
pub struct Ports {
    /// Source of request ids.
    pub ids: Arc<dyn IdGen>,
    /// Tells whether the server is ready.
    pub readiness: Arc<dyn Readiness>,
    /// Counts requests per user and tenant.
    pub limiter: Arc<dyn RateLimiter>,
    /// Measures requests; `None` measures nothing.
    pub metrics: Option<HttpMetrics>,
    /// Requests that go on after their client has hung up, for shutdown to wait for.
    pub tasks: TaskTracker,
}

/// The whole gateway as one axum router.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that the limit per peer address works, and
/// with a limit on how long a client may take to send a header ([`GatewaySettings::HEADER_READ_TIMEOUT`]).
pub fn router(gate: Arc<dyn Gate>, ports: Ports, settings: GatewaySettings) -> Router {
    let tracer = trace::Tracer { ids: ports.ids, metrics: ports.metrics };
    let state = AppState {
        gate,
        readiness: ports.readiness,
        limiter: ports.limiter,
        peers: PeerLimit::new(&settings),
        load: LoadLimit::new(&settings),
        settings: Arc::new(settings),
        tasks: ports.tasks,
    };
    let idempotent = from_fn_with_state(state.clone(), idempotent);
    let authenticate = from_fn_with_state(state.clone(), authenticate);
    let (effects, _) = routes::effects().split_for_parts();
    let (reads, _) = routes::reads().split_for_parts();
    let (pages, _) = routes::pages().split_for_parts();
    let (probes, _) = routes::probes().split_for_parts();
    // Layers run from the last one added inwards. The fallback is inside: unknown addresses go through the layers too.
    let limited = effects
        .route_layer(idempotent)
        .merge(reads)
        .route_layer(authenticate)
        .merge(pages)
        .merge(openapi::pages())
        .fallback(unknown_address)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state.clone(), lingering_close))
        .layer(from_fn_with_state(state.clone(), shed_load))
        .layer(from_fn_with_state(state.clone(), limit_peers));
    probes
        .layer(from_fn(trace::log_at_debug))
        .merge(limited)
        .layer(from_fn(bound))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(tracer, trace::trace))
        .with_state(state)
}

/// The router of a server that cannot serve yet: it answers liveness and readiness probes, and everything else with 503.
pub(crate) fn starting_router(readiness: Arc<dyn Readiness>, ids: Arc<dyn IdGen>) -> Router {
    let not_yet = || async { ApiError::new(ErrorKind::Unavailable, "The server is starting; come back in a moment.") };
    routes::starting_probes(readiness)
        .layer(from_fn(trace::log_at_debug))
        .fallback(not_yet)
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(trace::Tracer { ids, metrics: None }, trace::trace))
}

async fn unknown_address() -> ApiError {
    ApiError::of(ErrorKind::NotFound)
}

/// The panic's message is not logged: it may hold content. The panic hook logs where it was.
fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    ApiError { cause: Some("a handler panicked".into()), ..ApiError::of(ErrorKind::Internal) }.into_response()
}
