//! Links the span of a job to the request that queued it.

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, global};
use std::collections::HashMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Adds a link to the span that a W3C `traceparent` names; none if it is not valid, or traces are off. A link rather
/// than a parent: the request has ended when the job starts, and a job may be tried again hours later.
pub(crate) fn link_to(span: &Span, traceparent: &str) {
    if let Some(origin) = span_context(traceparent) {
        span.add_link(origin);
    }
}

fn span_context(traceparent: &str) -> Option<SpanContext> {
    let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let context =
        global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &headers));
    let span_context = context.span().span_context().clone();
    span_context.is_valid().then_some(span_context)
}
