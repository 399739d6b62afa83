//! Prometheus metrics of the plant process.

use domain::plant::ConnectorKind;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use runtime::plant_process::PlantObserver;
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
const SECONDS: [f64; 9] = [0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0];

/// Counters and histograms of requests, calls, refusals and records. Nothing names a tenant or a connector.
#[derive(Clone, Debug)]
pub struct PlantMetrics {
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    refusals: IntCounterVec,
    recorded: IntCounter,
}

impl PlantMetrics {
    /// Registers `plant_requests_total` (by `request`, `outcome`), `plant_request_duration_seconds` (by `request`),
    /// `plant_calls_total` (by `kind`, `outcome`), `plant_call_duration_seconds` (by `kind`), `plant_refusals_total`
    /// (by `kind`, `reason`: `budget`, `breaker`) and `plant_recorded_samples_total`.
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let histogram = |name: &str, help: &str, label: &str| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), &[label])
        };
        let metrics = Self {
            requests: counter("plant_requests_total", "Requests to plant systems.", &["request", "outcome"])?,
            request_seconds: histogram("plant_request_duration_seconds", "Time until the answer.", "request")?,
            calls: counter("plant_calls_total", "Calls to plant systems.", &["kind", "outcome"])?,
            call_seconds: histogram("plant_call_duration_seconds", "Time that a plant system took.", "kind")?,
            refusals: counter("plant_refusals_total", "Calls that were not made.", &["kind", "reason"])?,
            recorded: IntCounter::new("plant_recorded_samples_total", "Samples that were recorded.")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.call_seconds.clone()))?;
        registry.register(Box::new(metrics.refusals.clone()))?;
        registry.register(Box::new(metrics.recorded.clone()))?;
        Ok(metrics)
    }
}

impl PlantObserver for PlantMetrics {
    fn answered(&self, request: &'static str, outcome: &'static str, took: Duration) {
        self.requests.with_label_values(&[request, outcome]).inc();
        self.request_seconds.with_label_values(&[request]).observe(took.as_secs_f64());
    }

    fn called(&self, kind: ConnectorKind, outcome: &'static str, took: Duration) {
        self.calls.with_label_values(&[kind.as_str(), outcome]).inc();
        self.call_seconds.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
    }

    fn refused_by_budget(&self, kind: ConnectorKind) {
        self.refusals.with_label_values(&[kind.as_str(), "budget"]).inc();
    }

    fn refused_by_breaker(&self, kind: ConnectorKind) {
        self.refusals.with_label_values(&[kind.as_str(), "breaker"]).inc();
    }

    fn recorded(&self, samples: usize) {
        self.recorded.inc_by(u64::try_from(samples).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_refusals_are_counted_by_kind() -> Result<(), prometheus::Error> {
        let registry = Registry::new();
        let metrics = PlantMetrics::register(&registry)?;
        metrics.called(ConnectorKind::OpcUa, "ok", Duration::from_millis(20));
        metrics.refused_by_budget(ConnectorKind::OpcUa);
        metrics.answered("read", "ok", Duration::from_millis(30));
        metrics.recorded(7);
        let encoded = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        for line in [
            r#"plant_calls_total{kind="opcua",outcome="ok"} 1"#,
            r#"plant_refusals_total{kind="opcua",reason="budget"} 1"#,
            r#"plant_requests_total{outcome="ok",request="read"} 1"#,
            "plant_recorded_samples_total 7",
        ] {
            assert!(encoded.lines().any(|found| found == line), "{line} in {encoded}");
        }
        Ok(())
    }
}
