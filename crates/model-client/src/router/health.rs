//! Periodic health checks, so that requests are not sent to an unreachable backend, and soon use it again once it has
//! recovered.

use super::{Backend, Router};
use crate::openai::http::Endpoint;
use domain::backend_health::BackendHealth;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Timeout of a health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

impl Router {
    /// Checks all backends periodically and updates breakers and metrics. Runs until the future is dropped; returns
    /// only if there are no backends.
    pub async fn run_health_checks(self: Arc<Self>) {
        while !self.backends.is_empty() {
            futures::future::join_all(self.backends.iter().map(|backend| self.check_health(backend))).await;
            self.update_gauges();
            tokio::time::sleep(self.health_check_interval).await;
        }
    }

    /// The health of all backends, in the order of the configuration.
    pub(crate) fn health(&self) -> Vec<BackendHealth> {
        self.backends.iter().map(|backend| backend.health()).collect()
    }

    /// Checks one backend. Any response below status 500 means that it is up, because some servers require a key for
    /// this endpoint that the platform may not have.
    async fn check_health(&self, backend: &Backend) {
        let result = backend.client.get(Endpoint::Health, Instant::now() + CHECK_TIMEOUT).await;
        let is_up = backend.record_check_result(result.as_ref().map(|_| ()));
        let name = backend.client.name();
        let has_changed = backend.is_up.swap(is_up, Ordering::Relaxed) != is_up;
        match &result {
            Err(failure) if has_changed && !is_up => {
                tracing::warn!(backend = name, error = %failure.error, "a model backend is down");
            }
            _ if has_changed => tracing::info!(backend = name, "a model backend is up again"),
            _ => {}
        }
        for breaker in backend.breakers().values() {
            if is_up {
                breaker.record_successful_health_check(Instant::now());
            } else {
                breaker.record_failed_health_check(Instant::now());
            }
        }
        self.metrics.record_health_check(name, is_up);
    }
}
