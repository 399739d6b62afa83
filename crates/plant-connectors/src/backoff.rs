//! Exponential backoff after failed connections.

use domain::plant::ConnectorError;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// After this many failures, the delay no longer grows: 2^5 s exceeds the longest delay.
const MAX_DOUBLINGS: u32 = 5;

/// Failed attempts since the last success. The delay doubles with each, from 1 s to 30 s.
#[derive(Default, Debug)]
pub struct Backoff {
    failures: u32,
    last: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    error: ConnectorError,
    retry_at: Instant,
}

impl Backoff {
    /// The last error, while it is too early to retry.
    pub fn refusal(&self) -> Option<ConnectorError> {
        self.last.as_ref().filter(|failure| Instant::now() < failure.retry_at).map(|failure| failure.error.clone())
    }

    /// Records a failure and returns the delay until the next attempt.
    pub fn failed(&mut self, error: &ConnectorError) -> Duration {
        let delay = (FIRST_DELAY * 2_u32.pow(self.failures.min(MAX_DOUBLINGS))).min(MAX_DELAY);
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Failure { error: error.clone(), retry_at: Instant::now() + delay });
        delay
    }

    /// Resets the delay after a success.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[tokio::test(start_paused = true)]
    async fn the_delay_doubles_up_to_thirty_seconds() {
        let mut backoff = Backoff::default();
        let error = failure::unreachable("down");
        let delays: Vec<_> = (0..7).map(|_| backoff.failed(&error).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.refusal(), Some(error.clone()));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(backoff.refusal(), None);
        backoff.succeeded();
        assert_eq!(backoff.failed(&error).as_secs(), 1);
    }
}
