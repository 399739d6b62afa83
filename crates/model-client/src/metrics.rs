//! Prometheus metrics of the model layer. Names follow the OpenTelemetry GenAI semantic conventions (status
//! "development", as of November 2026) in Prometheus spelling; they are defined only in this file.
//!
//! Labels contain configured names only, never tenants, users or names that a server reports, to bound cardinality.

use crate::breaker_state::BreakerState;
use domain::model::ModelError;
use domain::model_call::{ModelOperation, ServedBy};
use domain::run::TokenUsage;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::Duration;

const CALL_LABELS: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
const CALL_ERROR_LABELS: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"];
const CALL_TOKEN_LABELS: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];

/// Histogram buckets that the conventions recommend for token counts.
const TOKEN_BUCKETS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Histogram buckets that the conventions recommend for durations, in seconds.
const DURATION_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Histogram buckets for the time to the first chunk, in seconds.
const FIRST_CHUNK_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];
/// Histogram buckets for the time per output chunk, in seconds.
const PER_CHUNK_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// The model layer's metrics.
#[derive(Clone, Debug)]
pub struct ModelMetrics {
    tokens: HistogramVec,
    duration: HistogramVec,
    time_to_first_chunk: HistogramVec,
    time_per_chunk: HistogramVec,
    served_requests: IntCounterVec,
    failed_attempts: IntCounterVec,
    rejected_requests: IntCounterVec,
    in_flight: IntGaugeVec,
    breaker_state: IntGaugeVec,
    up: IntGaugeVec,
    waiting_requests: IntGauge,
}

/// Labels of a model call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLabels<'a> {
    pub(crate) operation: ModelOperation,
    pub(crate) provider: &'static str,
    pub(crate) model: &'a str,
}

const REJECTED_REQUESTS_HELP: &str = "Requests rejected: queue full or timeout.";

fn register_backend_gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), &["backend"])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl ModelMetrics {
    /// Creates the metrics and registers them.
    ///
    /// # Errors
    /// If the registry already contains one of the names.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| register_backend_gauge(registry, name, help);
        let waiting = IntGauge::new("model_queue_waiting", "Requests queued because all model backends are busy.")?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            tokens: histogram(
                "gen_ai_client_token_usage",
                "Tokens of a model call.",
                TOKEN_BUCKETS,
                CALL_TOKEN_LABELS,
            )?,
            duration: histogram(
                "gen_ai_client_operation_duration_seconds",
                "Duration of a model call in seconds.",
                DURATION_BUCKETS,
                CALL_ERROR_LABELS,
            )?,
            time_to_first_chunk: histogram(
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "Seconds until the first chunk of an answer.",
                FIRST_CHUNK_BUCKETS,
                CALL_LABELS,
            )?,
            time_per_chunk: histogram(
                "gen_ai_client_operation_time_per_output_chunk_seconds",
                "Average seconds per chunk of an answer, after the first chunk.",
                PER_CHUNK_BUCKETS,
                CALL_LABELS,
            )?,
            served_requests: counter(
                "model_requests_served_total",
                "Requests served, by tier, backend and whether it was a fallback.",
                &["tier", "backend", "fallback"],
            )?,
            failed_attempts: counter(
                "model_attempts_failed_total",
                "Attempts at a backend that failed before the first chunk of an answer.",
                &["backend", "error_type"],
            )?,
            rejected_requests: counter("model_requests_refused_total", REJECTED_REQUESTS_HELP, &["reason"])?,
            in_flight: gauge("model_backend_in_flight", "Requests in progress at a backend.")?,
            breaker_state: gauge(
                "model_backend_breaker",
                "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
            )?,
            up: gauge("model_backend_up", "Whether the last health check of the backend succeeded: 1 yes, 0 no.")?,
            waiting_requests: waiting,
        })
    }

    /// Creates metrics that are not exported, for tests and probes.
    ///
    /// # Errors
    /// Only if a metric name in this file is invalid, which is a bug.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::register(&Registry::new())
    }

    pub(crate) fn record_served(&self, tier: &str, served_by: &ServedBy) {
        let fallback = if served_by.fallback { "true" } else { "false" };
        self.served_requests.with_label_values(&[tier, &served_by.backend, fallback]).inc();
    }

    pub(crate) fn record_failed_attempt(&self, backend: &str, error: &str) {
        self.failed_attempts.with_label_values(&[backend, error]).inc();
    }

    pub(crate) fn record_rejected(&self, reason: &str) {
        self.rejected_requests.with_label_values(&[reason]).inc();
    }

    pub(crate) fn set_backend_state(&self, name: &str, breaker: BreakerState, in_flight: usize) {
        let breaker = match breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.breaker_state.with_label_values(&[name]).set(breaker);
        self.in_flight.with_label_values(&[name]).set(to_gauge_value(in_flight));
    }

    pub(crate) fn set_waiting(&self, requests: usize) {
        self.waiting_requests.set(to_gauge_value(requests));
    }

    pub(crate) fn record_health_check(&self, backend: &str, up: bool) {
        self.up.with_label_values(&[backend]).set(i64::from(up));
    }

    /// Records the duration of a call; `error` is set if it failed.
    pub(crate) fn record_duration(&self, call: CallLabels<'_>, duration: Duration, error: Option<&ModelError>) {
        let CallLabels { operation, provider, model } = call;
        let error = error.map_or("", ModelError::error_type);
        self.duration.with_label_values(&[operation.as_str(), provider, model, error]).observe(duration.as_secs_f64());
    }

    pub(crate) fn record_tokens(&self, call: CallLabels<'_>, usage: TokenUsage) {
        let CallLabels { operation, provider, model } = call;
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            if tokens > 0 {
                let labels = [operation.as_str(), provider, model, kind];
                self.tokens.with_label_values(&labels).observe(f64::from(tokens));
            }
        }
    }

    pub(crate) fn record_time_to_first_chunk(&self, call: CallLabels<'_>, duration: Duration) {
        let labels = [call.operation.as_str(), call.provider, call.model];
        self.time_to_first_chunk.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// Records the average time per chunk; `duration` is the total time of the `chunks` chunks after the first.
    pub(crate) fn record_time_per_chunk(&self, call: CallLabels<'_>, duration: Duration, chunks: u32) {
        if chunks > 0 {
            let labels = [call.operation.as_str(), call.provider, call.model];
            self.time_per_chunk.with_label_values(&labels).observe(duration.as_secs_f64() / f64::from(chunks));
        }
    }
}

fn to_gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
