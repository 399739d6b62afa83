//! Prometheus metric of the calls of MCP servers.

use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::time::Duration;
use tools::mcp::{CallObserver, CallOutcome};

/// Buckets in seconds: up to the time limits of connection and call.
const BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];

/// Measures calls of MCP servers.
#[derive(Clone)]
pub struct McpMetrics {
    duration: HistogramVec,
}

impl McpMetrics {
    /// Creates the histogram `mcp_client_call_duration_seconds`, by outcome.
    ///
    /// # Errors
    /// If its description is not valid, which is a bug.
    pub fn new() -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "mcp_client_call_duration_seconds",
            "Seconds of a call of a tool of an MCP server, connection included, by outcome.",
        );
        Ok(Self { duration: HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["outcome"])? })
    }

    /// Registers the histogram.
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.duration.clone()))
    }
}

impl CallObserver for McpMetrics {
    fn ended(&self, outcome: CallOutcome, duration: Duration) {
        self.duration.with_label_values(&[outcome.as_str()]).observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_outcome() {
        let (metrics, registry) = (McpMetrics::new().expect("a metric"), Registry::new());
        metrics.register(&registry).expect("a new metric");
        for outcome in [CallOutcome::Success, CallOutcome::Failed("timeout"), CallOutcome::Success] {
            metrics.ended(outcome, Duration::from_millis(40));
        }
        let families = registry.gather();
        let counts: Vec<_> =
            families[0].get_metric().iter().map(|metric| metric.get_histogram().get_sample_count()).collect();
        assert_eq!(counts, [2, 1]);
    }
}
