//! The tries of one request: what failed, whether another one makes sense, and what is said in the end.

use super::{LONGEST_PAUSE, RETRIES};
use domain::model::ModelError;
use domain::model_call::FailedAttempt;
use std::time::Duration;

/// The backends that did not serve.
#[derive(Default)]
pub(super) struct Tries {
    pub(super) failed: Vec<FailedAttempt>,
    /// What the last one said; each attempt has one.
    last: Option<ModelError>,
}

impl Tries {
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    pub(super) fn failed(&mut self, backend: &str, error: ModelError) {
        self.failed.push(FailedAttempt { backend: backend.to_owned(), error: error.error_type().to_owned() });
        self.last = Some(error);
    }

    /// How long to wait for another round; `None` where none makes sense.
    pub(super) fn pause(&self, round: u32) -> Option<Duration> {
        let Some(ModelError::Unavailable { retry_after, .. }) = &self.last else { return None };
        if round == RETRIES || retry_after.is_some_and(|pause| pause > LONGEST_PAUSE) {
            return None;
        }
        // Spread out, so that those who failed together do not come back together.
        let jitter = Duration::from_millis(fastrand::u64(50..300)) * 2_u32.pow(round);
        Some(retry_after.unwrap_or_default() + jitter)
    }

    /// The request is at fault, not the backend.
    pub(super) fn ended(self, error: ModelError) -> ModelError {
        let backend = error.backend().to_owned();
        let mut tries = self;
        if tries.is_empty() {
            return error;
        }
        tries.failed(&backend, error);
        tries.given_up(None)
    }

    /// The failure of them all.
    pub(super) fn given_up(self, soonest: Option<Duration>) -> ModelError {
        match self.last {
            // However often, it was one.
            Some(last) if self.failed.iter().all(|one| one.backend == self.failed[0].backend) => last,
            Some(last) => ModelError::Exhausted { tried: self.failed, last: Box::new(last) },
            None => ModelError::Unavailable {
                backend: "any".to_owned(),
                reason: "none can be asked at the moment".to_owned(),
                retry_after: soonest,
            },
        }
    }
}

/// Whether another backend would answer the same: the request is at fault.
pub(super) fn is_final(error: &ModelError) -> bool {
    matches!(
        error,
        ModelError::ContextTooLong { .. }
            | ModelError::Filtered { .. }
            | ModelError::Refused { .. }
            | ModelError::NotConfigured { .. }
    )
}
