//! A backend with its circuit breakers and health state.

use super::breaker::Breaker;
use crate::breaker_state::BreakerState;
use crate::cache_salt::CacheSalts;
use crate::config::{BackendSettings, BreakerSettings, Location};
use crate::error::SetupError;
use crate::openai::http::{Failure, NO_CONNECTION, OpenAiClient};
use domain::backend_health::{BackendHealth, BackendStatus};
use domain::model::ModelError;
use domain::role::Classification;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A backend with its HTTP client, circuit breakers and health state.
pub(crate) struct Backend {
    pub(crate) client: OpenAiClient,
    /// Breakers by model name, because a proxy may be able to serve one model but not another.
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
    breaker_settings: BreakerSettings,
    highest_classification: Classification,
    location: Location,
    /// Whether the backend counts as up after the last health check.
    pub(super) is_up: AtomicBool,
    /// Whether the backend answered a request since the last health check.
    answered_request: AtomicBool,
    /// Consecutive checks that timed out or returned 5xx while no request was answered.
    consecutive_inconclusive_checks: AtomicU32,
}

impl Backend {
    pub(super) fn new(
        settings: &BackendSettings,
        breaker: BreakerSettings,
        salts: Option<&CacheSalts>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: OpenAiClient::new(settings)?.with_cache_salts(salts),
            breakers: Mutex::default(),
            breaker_settings: breaker,
            highest_classification: settings.highest_classification,
            location: settings.location,
            is_up: AtomicBool::new(true),
            answered_request: AtomicBool::new(false),
            consecutive_inconclusive_checks: AtomicU32::new(0),
        })
    }

    /// Records that the backend answered a request.
    pub(super) fn mark_answered(&self) {
        self.answered_request.store(true, Ordering::Relaxed);
    }

    /// Records the result of a check and returns whether the backend now counts as up; the caller sets `is_up`. A
    /// failed connection means that it is down. After a timeout or a 5xx status, the backend may just be busy: it
    /// counts as down only after two such results in a row without an answered request since the previous check.
    pub(super) fn record_check_result(&self, result: Result<(), &Failure>) -> bool {
        let answered_request = self.answered_request.swap(false, Ordering::Relaxed);
        let has_responded =
            result.is_ok() || result.is_err_and(|failure| failure.status.is_some_and(|status| status < 500));
        if has_responded || answered_request && !is_unreachable(result) {
            self.consecutive_inconclusive_checks.store(0, Ordering::Relaxed);
            return true;
        }
        !is_unreachable(result) && self.consecutive_inconclusive_checks.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The highest classification that may be sent to this backend on behalf of the caller.
    pub(super) fn allowed_classification(&self, max_cloud_classification: Classification) -> Classification {
        match self.location {
            Location::OnPremises => self.highest_classification,
            Location::Cloud => self.highest_classification.min(max_cloud_classification),
        }
    }

    /// The backend's health and the models that are requested from it, for display.
    pub(super) fn health(&self) -> BackendHealth {
        let status = match self.worst_breaker_state() {
            _ if !self.is_up.load(Ordering::Relaxed) => BackendStatus::Down,
            BreakerState::Closed => BackendStatus::Up,
            BreakerState::HalfOpen | BreakerState::Open => BackendStatus::Failing,
        };
        BackendHealth {
            name: self.client.name().to_owned(),
            is_cloud: self.location == Location::Cloud,
            status,
            models: self.breakers().keys().cloned().collect(),
        }
    }

    /// Returns the breaker of a model; creates it at the first call.
    pub(super) fn breaker(&self, model: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers();
        Arc::clone(breakers.entry(model.to_owned()).or_insert_with(|| Arc::new(Breaker::new(self.breaker_settings))))
    }

    /// The worst state of the breakers of all models.
    pub(super) fn worst_breaker_state(&self) -> BreakerState {
        self.breakers().values().map(|breaker| breaker.state()).max().unwrap_or(BreakerState::Closed)
    }

    pub(super) fn breakers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Breaker>>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether no connection could be established.
fn is_unreachable(result: Result<(), &Failure>) -> bool {
    let error = result.err().map(|failure| &failure.error);
    matches!(error, Some(ModelError::Unavailable { reason, .. }) if reason == NO_CONNECTION)
}

#[cfg(test)]
mod tests {
    use super::super::breaker::FailureKind;
    use super::*;

    fn failure(reason: &str, status: Option<u16>) -> Failure {
        let (backend, reason) = ("gpu".to_owned(), reason.to_owned());
        Failure { status, ..ModelError::Unavailable { backend, reason, retry_after: None }.into() }
    }

    #[test]
    fn a_slow_health_check_does_not_count_while_requests_are_answered() {
        let url = "http://gpu:8000".parse().unwrap();
        let backend = Backend::new(&BackendSettings::new("gpu", url), BreakerSettings::default(), None).unwrap();
        let timeout = Failure::from(ModelError::Timeout { backend: "gpu".to_owned(), waited_s: 5 });
        assert!(backend.record_check_result(Err(&timeout)), "the first timeout");
        assert!(!backend.record_check_result(Err(&timeout)));
        for _ in 0..3 {
            backend.mark_answered();
            assert!(backend.record_check_result(Err(&timeout)));
        }
        assert!(backend.record_check_result(Err(&failure("status 401", Some(401)))), "any response below 500 means up");
        backend.mark_answered();
        assert!(!backend.record_check_result(Err(&failure(NO_CONNECTION, None))), "connection refused");
        assert!(backend.record_check_result(Ok(())));
    }

    #[test]
    fn a_backend_is_down_failing_or_up() {
        let url = "http://gpu:8000".parse().unwrap();
        let settings = BreakerSettings::default();
        let backend = Backend::new(&BackendSettings::new("gpu", url), settings, None).unwrap();
        let breaker = backend.breaker("fast");
        let health = backend.health();
        assert_eq!((health.status, health.models), (BackendStatus::Up, vec!["fast".to_owned()]));
        for _ in 0..settings.failure_threshold {
            breaker.record_failure(tokio::time::Instant::now(), FailureKind::Unreachable);
        }
        assert_eq!(backend.health().status, BackendStatus::Failing);
        backend.is_up.store(false, Ordering::Relaxed);
        assert_eq!(backend.health().status, BackendStatus::Down);
    }
}
