//! The outermost middleware: gives each request an id, a span and a log line.

use crate::error::ApiError;
use crate::metrics::HttpMetrics;
use crate::problem;
use crate::request_info::RequestInfo;
use crate::trace_context::remote_span;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use domain::error::ErrorKind;
use domain::ids::RequestId;
use domain::ports::IdGen;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Header with the request id, in requests and responses.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// State of the trace middleware.
#[derive(Clone)]
pub(crate) struct TraceState {
    /// Source of request ids.
    pub(crate) ids: Arc<dyn IdGen>,
    /// Request histogram; `None` if metrics are off.
    pub(crate) metrics: Option<HttpMetrics>,
    /// Whether requests come from a reverse proxy, whose trace context is trusted. Otherwise a request starts a trace
    /// of its own, which only links to the client's: a client must not decide what is traced.
    pub(crate) behind_proxy: bool,
}

/// Middleware: assigns the request id, continues the trace of the reverse proxy, measures the duration, writes the body
/// of an error response, and logs the request once.
pub(crate) async fn trace_request(State(state): State<TraceState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let info = RequestInfo { request_id: request_id(&state, &request), path: request.uri().path().to_owned() };
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "http",
        otel.kind = "server",
        trace_id = field::Empty,
        %method,
        route,
        request_id = %info.request_id,
        tenant = field::Empty,
        status = field::Empty,
        latency_ms = field::Empty,
    );
    continue_trace(&span, remote_span(request.headers()), state.behind_proxy);
    describe_request(&span, &method, &route);
    request.extensions_mut().insert(info.clone());
    let response = next.run(request).instrument(span.clone()).await;
    let is_probe = response.extensions().get::<LogAtDebug>().is_some();
    let (mut response, error) = problem::render(response, &info);
    if let Ok(value) = HeaderValue::from_str(info.request_id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let elapsed = started.elapsed();
    describe_response(&span, response.status());
    span.record("status", response.status().as_u16());
    span.record("latency_ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    if let Some(metrics) = &state.metrics {
        metrics.observe(&method, &route, response.status(), elapsed);
        if let Some(error) = &error {
            metrics.count_problem(error.code, response.status());
        }
        response = metrics.count_stream(response);
    }
    span.in_scope(|| log(is_probe, error.as_ref()));
    response
}

/// Makes the span a child of the client's span, or links it to that if the client is not trusted.
fn continue_trace(span: &Span, remote_span: Option<SpanContext>, is_trusted: bool) {
    let Some(remote_span) = remote_span else { return };
    if is_trusted {
        // Fails only if the span is not exported.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote_span));
    } else {
        span.add_link(remote_span);
    }
}

/// Sets name and attributes of the exported span according to the conventions for HTTP servers, and the trace id in
/// the log. The log has method and route under shorter names.
fn describe_request(span: &Span, method: &Method, route: &str) {
    let context = span.context();
    let exported_span = context.span();
    if !exported_span.span_context().is_valid() {
        return;
    }
    exported_span.update_name(format!("{method} {route}"));
    exported_span.set_attributes([
        KeyValue::new("http.request.method", method.to_string()),
        KeyValue::new("http.route", route.to_owned()),
    ]);
    span.record("trace_id", field::display(exported_span.span_context().trace_id()));
}

fn describe_response(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
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
