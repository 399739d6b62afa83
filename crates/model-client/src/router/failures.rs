//! The failed attempts of one request: whether to retry, and which error to return in the end.

use super::{MAX_RETRIES, MAX_RETRY_AFTER};
use domain::model::ModelError;
use domain::model_call::FailedAttempt;
use std::time::Duration;

/// Collects the failed attempts of one request.
#[derive(Default)]
pub(super) struct Failures {
    pub(super) attempts: Vec<FailedAttempt>,
    /// Error of the last attempt.
    last_error: Option<ModelError>,
}

impl Failures {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    pub(super) fn push(&mut self, backend: &str, error: ModelError) {
        self.attempts.push(FailedAttempt { backend: backend.to_owned(), error: error.error_type().to_owned() });
        self.last_error = Some(error);
    }

    /// Delay before the next round of attempts (`round` counts from 0); `None` if the request should not be retried.
    pub(super) fn retry_delay(&self, round: u32) -> Option<Duration> {
        let Some(ModelError::Unavailable { retry_after, .. }) = &self.last_error else { return None };
        if round == MAX_RETRIES || retry_after.is_some_and(|delay| delay > MAX_RETRY_AFTER) {
            return None;
        }
        // Jitter, so that requests that failed together do not retry together.
        let jitter = Duration::from_millis(fastrand::u64(50..300)) * 2_u32.pow(round);
        Some(retry_after.unwrap_or_default() + jitter)
    }

    /// The error of a request whose last attempt failed with the final error `error` (see [`is_final`]).
    pub(super) fn into_final_error(mut self, error: ModelError) -> ModelError {
        let backend = error.backend().to_owned();
        if self.is_empty() {
            return error;
        }
        self.push(&backend, error);
        self.into_error(None)
    }

    /// The error of a request whose attempts all failed. If no backend was tried, the error says to retry after
    /// `earliest_retry`.
    pub(super) fn into_error(self, earliest_retry: Option<Duration>) -> ModelError {
        match self.last_error {
            // All attempts were at one backend.
            Some(last_error) if self.attempts.iter().all(|attempt| attempt.backend == self.attempts[0].backend) => {
                last_error
            }
            Some(last) => ModelError::Exhausted { attempts: self.attempts, last: Box::new(last) },
            None => {
                ModelError::NoBackendAvailable { reason: "all are paused after failures", retry_after: earliest_retry }
            }
        }
    }
}

/// Whether no other backend should be tried.
pub(super) fn is_final(error: &ModelError) -> bool {
    matches!(
        error,
        ModelError::ContextTooLong { .. }
            | ModelError::Filtered { .. }
            | ModelError::Refused { .. }
            | ModelError::NotConfigured { .. }
    )
}
