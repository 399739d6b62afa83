//! The outermost middleware: gives each request an id, a span and a log line.

use crate::error::ApiError;
use crate::metrics::HttpMetrics;
use crate::problem;
use crate::request_info::RequestInfo;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use domain::error::ErrorKind;
use domain::ids::RequestId;
use domain::ports::IdGen;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};

/// Header with the request id, in requests and responses.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// State of the trace middleware.
#[derive(Clone)]
pub(crate) struct TraceState {
    /// Source of request ids.
    pub(crate) ids: Arc<dyn IdGen>,
    /// Request histogram; `None` if metrics are off.
    pub(crate) metrics: Option<HttpMetrics>,
}

/// Middleware: assigns the request id, measures the duration, writes the body of an error response, and logs the
/// request once.
pub(crate) async fn trace(State(state): State<TraceState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let info = RequestInfo { request_id: request_id(&state, &request), path: request.uri().path().to_owned() };
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "http",
        %method,
        route,
        request_id = %info.request_id,
        tenant = field::Empty,
        status = field::Empty,
        latency_ms = field::Empty,
    );
    request.extensions_mut().insert(info.clone());
    let response = next.run(request).instrument(span.clone()).await;
    let is_probe = response.extensions().get::<LogAtDebug>().is_some();
    let (mut response, error) = problem::render(response, &info);
    if let Ok(value) = HeaderValue::from_str(info.request_id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let elapsed = started.elapsed();
    span.record("status", response.status().as_u16());
    span.record("latency_ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    if let Some(metrics) = &state.metrics {
        metrics.observe(&method, &route, response.status(), elapsed);
    }
    span.in_scope(|| log(is_probe, error.as_ref()));
    response
}

/// Response extension: the request is logged at debug level. Set for probes, which arrive every few seconds.
#[derive(Clone, Copy, Debug)]
struct LogAtDebug;

/// Middleware of the probes: their requests are logged at debug level.
pub(crate) async fn log_at_debug(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(LogAtDebug);
    response
}

fn request_id(state: &TraceState, request: &Request) -> RequestId {
    request
        .headers()
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(|| RequestId::from_uuid(state.ids.uuid()))
}

/// Logs the outcome. Status and latency are fields of the span.
fn log(is_probe: bool, error: Option<&ApiError>) {
    match error {
        Some(error) => {
            let cause = error.cause.as_deref().unwrap_or_default();
            match error.kind {
                ErrorKind::Internal => tracing::error!(code = error.code, cause, "request failed"),
                ErrorKind::Unavailable | ErrorKind::Unauthenticated => {
                    tracing::warn!(code = error.code, cause, "request refused");
                }
                _ => {
                    let decision_id = error.decision_id.map(field::display);
                    tracing::info!(code = error.code, cause, decision_id, "request refused");
                }
            }
        }
        None if is_probe => tracing::debug!("request served"),
        None => tracing::info!("request served"),
    }
}

/// Sets the tenant in the request's span.
pub(crate) fn record_tenant(tenant: domain::ids::TenantId) {
    Span::current().record("tenant", field::display(tenant));
}
