//! Builds the router: routes, layers and their state.

use crate::caller::authenticate;
use crate::console::{ConsolePorts, ConsoleState};
use crate::error::ApiError;
use crate::header_size::limit_header_size;
use crate::headers::security_headers;
use crate::idempotency::handle_idempotency_key;
use crate::lingering_close::lingering_close;
use crate::load_shedding::{LoadLimit, shed_load};
use crate::mcp::{self, McpEndpoint};
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

/// Dependencies of the gateway other than the gate.
#[derive(Clone)]
pub struct Ports {
    /// Source of request ids.
    pub ids: Arc<dyn IdGen>,
    /// Health of the server's components, for `GET /ready`.
    pub readiness: Arc<dyn Readiness>,
    /// Rate limits per user and tenant.
    pub limiter: Arc<dyn RateLimiter>,
    /// Request histogram; `None` if metrics are off.
    pub metrics: Option<HttpMetrics>,
    /// Tracks requests that continue after their client has disconnected; shutdown waits for them.
    pub tasks: TaskTracker,
    /// The browser console.
    pub console: ConsolePorts,
}

/// Builds the router of the gateway.
///
/// Serve it with [`crate::serve::serve`]. Another server must set `ConnectInfo<SocketAddr>`, which the limit per peer
/// needs, and a timeout for reading headers ([`GatewaySettings::HEADER_READ_TIMEOUT`]).
pub fn router(gate: Arc<dyn Gate>, ports: Ports, settings: GatewaySettings) -> Router {
    let console = ConsoleState::new(ports.console, Arc::clone(&ports.ids), openapi::resources());
    let trace_state = trace::TraceState { ids: ports.ids, metrics: ports.metrics, behind_proxy: settings.behind_proxy };
    let state = AppState {
        mcp: McpEndpoint::new(&gate, &settings),
        gate,
        readiness: ports.readiness,
        limiter: ports.limiter,
        peer_limit: PeerLimit::new(&settings),
        load_limit: LoadLimit::new(&settings),
        settings: Arc::new(settings),
        tasks: ports.tasks,
        console,
    };
    let idempotency_layer = from_fn_with_state(state.clone(), handle_idempotency_key);
    let authentication_layer = from_fn_with_state(state.clone(), authenticate);
    let (idempotent_routes, _) = routes::idempotent_routes().split_for_parts();
    let (read_only_routes, _) = routes::read_only_routes().split_for_parts();
    let (public_routes, _) = routes::public_routes().split_for_parts();
    let (probes, _) = routes::probes().split_for_parts();
    let mcp_routes = routes::mcp()
        .route_layer(authentication_layer.clone())
        .route_layer(from_fn_with_state(state.clone(), mcp::name_metadata));
    // The layer that is added last runs first. The fallback is added before the layers, so that they also apply to
    // unknown paths.
    let limited_routes = idempotent_routes
        .route_layer(idempotency_layer)
        .merge(read_only_routes)
        .route_layer(authentication_layer)
        .merge(mcp_routes)
        .merge(routes::mcp_metadata())
        .merge(public_routes)
        .merge(openapi::docs_routes())
        .merge(routes::console())
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state.clone(), lingering_close))
        .layer(from_fn_with_state(state.clone(), shed_load))
        .layer(from_fn_with_state(state.clone(), limit_peers));
    probes
        .layer(from_fn(trace::log_at_debug))
        .merge(limited_routes)
        .layer(from_fn(limit_header_size))
        .layer(CatchPanicLayer::custom(panic_response))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(trace_state, trace::trace_request))
        .with_state(state)
}

/// Builds the router of a server that is starting. It answers liveness and readiness probes, and responds to everything
/// else with 503.
pub(crate) fn startup_router(readiness: Arc<dyn Readiness>, ids: Arc<dyn IdGen>) -> Router {
    let starting_error =
        || async { ApiError::new(ErrorKind::Unavailable, "The server is starting; try again in a moment.") };
    let trace_state = trace::TraceState { ids, metrics: None, behind_proxy: false };
    routes::starting_probes(readiness)
        .layer(from_fn(trace::log_at_debug))
        .fallback(starting_error)
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(trace_state, trace::trace_request))
}

async fn unknown_path() -> ApiError {
    ApiError::from_kind(ErrorKind::NotFound)
}

/// The panic message is not logged, since it may contain text of a document. The panic hook logs the location.
fn panic_response(_: Box<dyn Any + Send>) -> Response {
    ApiError { cause: Some("a handler panicked".into()), ..ApiError::from_kind(ErrorKind::Internal) }.into_response()
}
