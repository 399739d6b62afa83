//! Prometheus metrics of requests, refusals and event streams.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};
use std::time::Duration;

/// Metrics of requests. Unknown paths share the route label `unmatched`.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    duration: HistogramVec,
    problems: IntCounterVec,
    open_streams: IntGauge,
}

impl HttpMetrics {
    /// Registers the histogram `http_request_duration_seconds` (by method, route template and status), which measures
    /// the time until the response starts, also for a stream; the counter `http_problems_total` (by `code` and
    /// status), and the gauge `http_event_streams_open`.
    ///
    /// # Errors
    /// If the registry has a metric of that name already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "http_request_duration_seconds",
            "Seconds until the answer began, by method, route and status.",
        )
        .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let duration = HistogramVec::new(options, &["method", "route", "status"])?;
        let problems = Opts::new("http_problems_total", "Requests refused or failed, by code and status.");
        let problems = IntCounterVec::new(problems, &["code", "status"])?;
        let open_streams = IntGauge::new("http_event_streams_open", "Event streams that clients read.")?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(problems.clone()))?;
        registry.register(Box::new(open_streams.clone()))?;
        Ok(Self { duration, problems, open_streams })
    }

    /// Counts a refused or failed request. The codes are literals in the sources, so there are not many.
    pub(crate) fn count_problem(&self, code: &'static str, status: StatusCode) {
        self.problems.with_label_values(&[code, status.as_str()]).inc();
    }

    /// Counts an event stream as open until it ends or its client disconnects; other responses are not counted.
    pub(crate) fn count_stream(&self, response: Response) -> Response {
        let content_type = response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
        if !content_type.is_some_and(|value| value.starts_with(b"text/event-stream")) {
            return response;
        }
        let open_stream = OpenStream::new(self.open_streams.clone());
        response.map(|body| {
            Body::from_stream(body.into_data_stream().inspect(move |_| {
                // The closure owns the guard as long as the body exists.
                let _open = &open_stream;
            }))
        })
    }

    pub(crate) fn observe(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known,
            _ => "other",
        };
        self.duration.with_label_values(&[method, route, status.as_str()]).observe(elapsed.as_secs_f64());
    }
}

/// Counts an event stream as open until it is dropped.
struct OpenStream(IntGauge);

impl OpenStream {
    fn new(open_streams: IntGauge) -> Self {
        open_streams.inc();
        Self(open_streams)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[tokio::test]
    async fn only_event_streams_count_as_open_and_only_until_they_are_dropped() {
        let metrics = HttpMetrics::register(&Registry::new()).expect("new names");
        let stream = || ([("content-type", "text/event-stream")], "data: 1\n\n").into_response();
        let (first, second) = (metrics.count_stream(stream()), metrics.count_stream(stream()));
        let other = metrics.count_stream("{}".into_response());
        assert_eq!(metrics.open_streams.get(), 2);
        drop((first, other));
        assert_eq!(metrics.open_streams.get(), 1);
        let body = axum::body::to_bytes(second.into_body(), 99).await.expect("a body");
        assert_eq!((body.as_ref(), metrics.open_streams.get()), (b"data: 1\n\n".as_slice(), 0));
    }
}
