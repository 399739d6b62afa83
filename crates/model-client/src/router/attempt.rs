//! One attempt to serve a request at one backend.

use super::Route;
use super::backend::Backend;
use super::breaker::{Breaker, FailureKind};
use super::failures::Failures;
use super::limiter::Permit;
use crate::metrics::CallLabels;
use crate::openai::http::NO_CONNECTION;
use domain::model::ModelError;
use domain::model_call::{ModelOperation, Price, ServedBy};
use domain::privacy::PatternCounts;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One attempt to serve a request at one backend. Holds the concurrency permit until it is dropped, and reports the
/// outcome to the circuit breaker; an attempt dropped without an outcome is reported as abandoned.
pub(crate) struct Attempt {
    pub(crate) backend: Arc<Backend>,
    breaker: Arc<Breaker>,
    pub(crate) model: String,
    price: Price,
    is_fallback: bool,
    outcome_reported: bool,
    _permit: Permit,
}

impl Attempt {
    pub(super) fn new(backend: Arc<Backend>, route: &Route, is_fallback: bool, permit: Permit) -> Self {
        let (model, price) = (route.model.clone(), route.price);
        Self {
            backend,
            breaker: Arc::clone(&route.breaker),
            model,
            price,
            is_fallback,
            outcome_reported: false,
            _permit: permit,
        }
    }

    /// Reports that the backend has started to answer.
    pub(crate) fn record_start(&mut self) {
        self.outcome_reported = true;
        self.backend.mark_answered();
        self.breaker.record_start();
    }

    /// Reports that the answer is complete.
    pub(crate) fn record_success(&mut self) {
        self.outcome_reported = true;
        self.backend.mark_answered();
        self.breaker.record_success();
    }

    /// Reports that an answer was interrupted after it had started.
    pub(crate) fn record_interruption(&self) {
        self.breaker.record_failure(Instant::now(), FailureKind::Other);
    }

    /// Reports that the attempt failed before an answer started. Errors that the request itself caused do not count as
    /// failures of the backend.
    pub(crate) fn record_failure(&mut self, error: &ModelError) {
        self.outcome_reported = true;
        let (breaker, now) = (&self.breaker, Instant::now());
        match error {
            ModelError::Unavailable { retry_after: Some(retry_after), .. } => {
                breaker.pause_until(now + (*retry_after).min(Duration::from_secs(60)));
            }
            ModelError::Unavailable { reason, .. } if reason == NO_CONNECTION => {
                breaker.record_failure(now, FailureKind::Unreachable);
            }
            ModelError::Unavailable { .. }
            | ModelError::Timeout { .. }
            | ModelError::Interrupted { .. }
            | ModelError::InvalidResponse { .. }
            | ModelError::Misconfigured { .. } => breaker.record_failure(now, FailureKind::Other),
            // The backend works; the request itself caused the error.
            _ => breaker.record_success(),
        }
    }

    /// The configured price of the route.
    pub(crate) fn price(&self) -> Price {
        self.price
    }

    /// Metric labels of the call.
    pub(crate) fn labels(&self, operation: ModelOperation) -> CallLabels<'_> {
        CallLabels { operation, provider: self.backend.client.dialect().provider(), model: &self.model }
    }

    pub(super) fn served_by(&self, failures: &Failures) -> ServedBy {
        ServedBy {
            backend: self.backend.client.name().to_owned(),
            requested_model: self.model.clone(),
            model: self.model.clone(),
            fallback: self.is_fallback,
            failed_attempts: failures.attempts.clone(),
            price: self.price,
            replacement_counts: PatternCounts::default(),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.outcome_reported {
            self.breaker.record_abandoned(Instant::now());
        }
    }
}
