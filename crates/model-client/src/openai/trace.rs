//! Sends the trace context along with a request to a model server, and records on a call's span that it failed.

use domain::model::ModelError;
use opentelemetry::propagation::Injector;
use opentelemetry::{Context, global};
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

/// Adds `traceparent` and `tracestate`, so that the server continues the trace with the current span as the parent.
/// Adds nothing if traces are off, or outside of a span, as in health checks.
pub(super) fn with_trace_context(request: RequestBuilder) -> RequestBuilder {
    let context = Context::current();
    let mut headers = HeaderMap::new();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut RequestHeaders(&mut headers));
    });
    request.headers(headers)
}

struct RequestHeaders<'a>(&'a mut HeaderMap);

impl Injector for RequestHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Without a trace state, the propagator sets an empty one.
        let value = HeaderValue::from_str(&value).ok().filter(|value| !value.is_empty());
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(key.as_bytes()), value) {
            self.0.insert(name, value);
        }
    }
}

/// Records that the call failed. The message is not recorded, because a server may quote the prompt in it.
pub(super) fn record_error(span: &Span, error: &ModelError) {
    span.record("error.type", error.error_type());
    span.record("otel.status_code", "error");
}
