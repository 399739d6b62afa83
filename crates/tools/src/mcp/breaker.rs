//! Circuit breakers of MCP servers: calls of a server that fails repeatedly fail at once.

use domain::ids::McpServerId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Consecutive failures that open a breaker.
const MAX_FAILURES: u32 = 3;
/// How long it stays open.
const PAUSE: Duration = Duration::from_secs(30);
/// Maximum number of tracked servers; beyond that, those whose pause is over are dropped.
const MAX_REMEMBERED: usize = 1_000;

/// The servers whose last attempt failed.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    failing: Mutex<HashMap<McpServerId, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// Remaining time for which the breaker is open; `None` if it is closed.
    fn remaining_pause(self) -> Option<Duration> {
        let remaining = PAUSE.saturating_sub(self.last.elapsed());
        (self.count >= MAX_FAILURES && !remaining.is_zero()).then_some(remaining)
    }
}

impl Breakers {
    /// Remaining time for which the breaker is open; `None` if it is closed.
    pub(super) fn remaining_pause(&self, server: McpServerId) -> Option<Duration> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.get(&server).copied().and_then(Failures::remaining_pause)
    }

    /// Records that a tool of the server answered.
    pub(super) fn record_success(&self, server: McpServerId) {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).remove(&server);
    }

    /// Records that the server did not work.
    pub(super) fn record_outage(&self, server: McpServerId) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= MAX_REMEMBERED {
            failing.retain(|_, failures| failures.last.elapsed() < PAUSE);
        }
        let count = failing.get(&server).map_or(0, |failures| failures.count).saturating_add(1);
        failing.insert(server, Failures { count, last: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn a_server_is_left_alone_after_failures_in_a_row_and_tried_again_later() {
        let (breakers, server) = (Breakers::default(), McpServerId::from_uuid(Uuid::nil()));
        for is_outage in [true, true, false, true, true] {
            if is_outage {
                breakers.record_outage(server)
            } else {
                breakers.record_success(server)
            }
            assert_eq!(breakers.remaining_pause(server), None);
        }
        breakers.record_outage(server);
        assert_eq!(breakers.remaining_pause(server), Some(PAUSE));
        tokio::time::advance(PAUSE).await;
        assert_eq!(breakers.remaining_pause(server), None, "one more attempt");
        breakers.record_outage(server);
        assert_eq!(breakers.remaining_pause(server), Some(PAUSE));
        tokio::time::advance(PAUSE).await;
        breakers.record_success(server);
        assert_eq!(breakers.remaining_pause(server), None);
    }
}
