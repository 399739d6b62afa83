//! The Prometheus histogram of requests.

use axum::http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::time::Duration;

/// Histogram of requests by method, route template and status. Unknown paths share the route label `unmatched`.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    duration: HistogramVec,
}

impl HttpMetrics {
    /// Registers the histogram `http_request_duration_seconds`. It measures the time until the response starts,
    /// also for a stream.
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
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { duration })
    }

    pub(crate) fn observe(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known,
            _ => "other",
        };
        self.duration.with_label_values(&[method, route, status.as_str()]).observe(elapsed.as_secs_f64());
    }
}
