//! The circuit breaker of a connector: after repeated failures, calls fail immediately for a while, and then one is
//! tried.

use domain::plant::ConnectorError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Number of consecutive failures that open it.
const THRESHOLD: u32 = 3;
/// How long it stays open the first time; twice as long after each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Maximum time that it stays open.
const MAX_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    last_error: Option<ConnectorError>,
}

impl Breaker {
    /// Whether a call may be made now.
    ///
    /// # Errors
    /// The last failure, while it is open.
    pub(super) fn check(&self) -> Result<(), ConnectorError> {
        let state = self.state();
        match (&state.open_until, &state.last_error) {
            (Some(open_until), Some(error)) if Instant::now() < *open_until => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The last failure, if no call has succeeded since.
    pub(super) fn last_error(&self) -> Option<ConnectorError> {
        self.state().last_error.clone()
    }

    /// Records the outcome of a call.
    pub(super) fn record<T>(&self, result: &Result<T, ConnectorError>) {
        let mut state = self.state();
        match result {
            Ok(_) => *state = State::default(),
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.last_error = Some(error.clone());
                if let Some(doublings) = state.failures.checked_sub(THRESHOLD) {
                    let pause = FIRST_PAUSE.saturating_mul(1 << doublings.min(6)).min(MAX_PAUSE);
                    state.open_until = Some(Instant::now() + pause);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Result<(), ConnectorError> {
        Err(ConnectorError::Unreachable { detail: "connection refused".to_owned() })
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_three_failures_and_closes_after_a_success() {
        let breaker = Breaker::default();
        for _ in 0..2 {
            breaker.record(&failure());
            assert_eq!(breaker.check(), Ok(()));
        }
        breaker.record(&failure());
        assert_eq!(breaker.check(), failure());
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.check(), Ok(()), "one is tried");
        breaker.record(&failure());
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(breaker.check(), failure(), "twice as long");
        tokio::time::advance(FIRST_PAUSE).await;
        breaker.record(&Ok(()));
        breaker.record(&failure());
        assert_eq!(breaker.check(), Ok(()));
    }
}
