//! What the model layer counts. The names are those of the OpenTelemetry GenAI conventions (in development; as of
//! November 2026), written as Prometheus has them, so that only this file changes when they do.
//!
//! Labels are names of the configuration: what a server calls itself, tenants and users are none.

use crate::router::BreakerState;
use domain::model::ModelError;
use domain::model_call::{ModelOperation, ServedBy};
use domain::run::TokenUsage;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::Duration;

const CALL: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
const CALL_AND_ERROR: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"];
const CALL_AND_TOKEN: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];

/// The conventions' buckets for tokens.
const TOKENS: &[f64] = &[
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
/// The conventions' buckets for a whole call, in seconds.
const DURATION: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// For the time to the first piece.
const FIRST: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];
/// For the time of each further piece.
const EACH: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// The model layer's metrics.
#[derive(Clone, Debug)]
pub struct ModelMetrics {
    tokens: HistogramVec,
    duration: HistogramVec,
    first: HistogramVec,
    each: HistogramVec,
    served: IntCounterVec,
    failed: IntCounterVec,
    refused: IntCounterVec,
    in_flight: IntGaugeVec,
    breaker: IntGaugeVec,
    up: IntGaugeVec,
    waiting: IntGauge,
}

/// A call that was made, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) operation: ModelOperation,
    pub(crate) provider: &'static str,
    pub(crate) model: &'a str,
}

impl ModelMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// Where the registry has one of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let made = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = IntGaugeVec::new(Opts::new(name, help), &["backend"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let waiting = IntGauge::new("model_queue_waiting", "Requests that wait for a place at a model backend.")?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            tokens: histogram("gen_ai_client_token_usage", "Tokens of a model call.", TOKENS, CALL_AND_TOKEN)?,
            duration: histogram(
                "gen_ai_client_operation_duration_seconds",
                "Seconds of a model call, to its end.",
                DURATION,
                CALL_AND_ERROR,
            )?,
            first: histogram(
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "Seconds until the first piece of an answer.",
                FIRST,
                CALL,
            )?,
            each: histogram(
                "gen_ai_client_operation_time_per_output_chunk_seconds",
                "Seconds of each further piece of an answer, on the average of the answer.",
                EACH,
                CALL,
            )?,
            served: counter(
                "model_requests_served_total",
                "Requests by tier and backend, and whether a fallback served.",
                &["tier", "backend", "fallback"],
            )?,
            failed: counter(
                "model_attempts_failed_total",
                "Attempts at a backend that failed before the first piece of an answer.",
                &["backend", "error_type"],
            )?,
            refused: counter("model_requests_refused_total", "Requests for which there was no room.", &["reason"])?,
            in_flight: gauge("model_backend_in_flight", "Requests under way at a backend.")?,
            breaker: gauge("model_backend_breaker", "The circuit breaker: 0 closed, 1 one request tries, 2 open.")?,
            up: gauge("model_backend_up", "Whether the backend answered when it was looked at last.")?,
            waiting,
        })
    }

    /// Metrics that nobody reads.
    ///
    /// # Errors
    /// Never, as long as the names above are valid.
    pub fn unread() -> Result<Self, prometheus::Error> {
        Self::register(&Registry::new())
    }

    pub(crate) fn served(&self, tier: &str, by: &ServedBy) {
        let fallback = if by.fallback { "true" } else { "false" };
        self.served.with_label_values(&[tier, &by.backend, fallback]).inc();
    }

    pub(crate) fn attempt_failed(&self, backend: &str, error: &str) {
        self.failed.with_label_values(&[backend, error]).inc();
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn backend(&self, name: &str, breaker: BreakerState, in_flight: usize) {
        let breaker = match breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.breaker.with_label_values(&[name]).set(breaker);
        self.in_flight.with_label_values(&[name]).set(gauge(in_flight));
    }

    pub(crate) fn waiting(&self, requests: usize) {
        self.waiting.set(gauge(requests));
    }

    pub(crate) fn seen(&self, backend: &str, there: bool) {
        self.up.with_label_values(&[backend]).set(i64::from(there));
    }

    /// A call ended; `error` is what it ended with, if it failed.
    pub(crate) fn ended(&self, call: Counted<'_>, took: Duration, error: Option<&ModelError>) {
        let Counted { operation, provider, model } = call;
        let error = error.map_or("", ModelError::error_type);
        self.duration.with_label_values(&[operation.as_str(), provider, model, error]).observe(took.as_secs_f64());
    }

    pub(crate) fn tokens(&self, call: Counted<'_>, usage: TokenUsage) {
        let Counted { operation, provider, model } = call;
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            if tokens > 0 {
                let labels = [operation.as_str(), provider, model, kind];
                self.tokens.with_label_values(&labels).observe(f64::from(tokens));
            }
        }
    }

    pub(crate) fn first_piece(&self, call: Counted<'_>, took: Duration) {
        let labels = [call.operation.as_str(), call.provider, call.model];
        self.first.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// The pieces after the first one took so long in all.
    pub(crate) fn further_pieces(&self, call: Counted<'_>, took: Duration, pieces: u32) {
        if pieces > 0 {
            let labels = [call.operation.as_str(), call.provider, call.model];
            self.each.with_label_values(&labels).observe(took.as_secs_f64() / f64::from(pieces));
        }
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
