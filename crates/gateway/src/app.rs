//! Puts the edge together: routes, layers, shared state.

use crate::bounds::bound;
use crate::caller::authenticate;
use crate::error::ApiError;
use crate::headers::security_headers;
use crate::idempotency::idempotent;
use crate::linger::linger;
use crate::load::{Load, shed};
use crate::metrics::HttpMetrics;
use crate::peer_limit::{PeerLimit, limit_peers};
use crate::rate_limit::RateLimiter;
use crate::readiness::Readiness;
use crate::settings::GatewaySettings;
use crate::{openapi, routes, trace};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use domain::ports::IdGen;
use policy::gate::{AdminGate, Gate, Gates, Idempotency, ModelGate};
use std::any::Any;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

/// What the gateway is given beside the gate.
#[derive(Clone)]
pub struct Ports {
    /// Makes request ids.
    pub ids: Arc<dyn IdGen>,
    /// Knows whether the server is ready.
    pub readiness: Arc<dyn Readiness>,
    /// Counts requests per user.
    pub limiter: Arc<dyn RateLimiter>,
    /// Measures requests, if anything does.
    pub metrics: Option<HttpMetrics>,
    /// Requests that go on when their client has hung up, for shutdown to wait for.
    pub tasks: TaskTracker,
}

/// What handlers and layers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) admin: Arc<dyn AdminGate>,
    pub(crate) models: Arc<dyn ModelGate>,
    pub(crate) idempotency: Arc<dyn Idempotency>,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) limiter: Arc<dyn RateLimiter>,
    pub(crate) peers: Option<Arc<PeerLimit>>,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) tasks: TaskTracker,
    pub(crate) load: Load,
}

/// The whole edge as one axum router.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that the limit per peer address works, and
/// with a limit on how long a client may take to send a header ([`GatewaySettings::HEADER_READ_TIMEOUT`]).
pub fn router(gates: Gates, ports: Ports, settings: GatewaySettings) -> Router {
    let tracer = trace::Tracer { ids: ports.ids, metrics: ports.metrics };
    let app = App {
        gate: gates.gate,
        admin: gates.admin,
        models: gates.models,
        idempotency: gates.idempotency,
        readiness: ports.readiness,
        limiter: ports.limiter,
        peers: PeerLimit::of(&settings).map(Arc::new),
        settings: Arc::new(settings),
        tasks: ports.tasks,
        load: Load::default(),
    };
    let (protected, _) = routes::protected().split_for_parts();
    let (open, _) = routes::open().split_for_parts();
    let protected = protected
        .route_layer(from_fn_with_state(app.clone(), idempotent))
        .route_layer(from_fn_with_state(app.clone(), authenticate));
    Router::new()
        .merge(open)
        .merge(openapi::pages())
        // Unknown addresses go through the layers too. Layers run from the last one added inwards.
        .merge(protected)
        .fallback(unknown_address)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), linger))
        .layer(from_fn_with_state(app.clone(), shed))
        .layer(from_fn_with_state(app.clone(), limit_peers))
        .layer(from_fn(bound))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(tracer, trace::trace))
        .with_state(app)
}

async fn unknown_address() -> ApiError {
    ApiError::of(ErrorKind::NotFound)
}

/// What panicked is not logged: it may hold content. The panic hook says where it was.
fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    ApiError { cause: Some("a handler panicked".into()), ..ApiError::of(ErrorKind::Internal) }.into_response()
}
