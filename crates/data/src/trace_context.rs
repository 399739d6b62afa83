//! The trace context that is stored with a job, so that its attempts can link to the request that queued it.

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use std::collections::HashMap;

/// The current span as a W3C `traceparent`. `None` if traces are off, outside of a span, or if the trace is not
/// sampled, because a link to it would lead nowhere.
pub(crate) fn current_traceparent() -> Option<String> {
    let context = Context::current();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut headers = HashMap::<String, String>::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    headers.remove("traceparent")
}
