//! A circuit breaker: after repeated failures, a model of a backend gets no requests for a while; then a single request
//! is allowed as a probe.

use crate::breaker_state::BreakerState;
use crate::config::BreakerSettings;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The circuit breaker of one model of one backend.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<CircuitState>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CircuitState {
    /// Requests pass. `failures` is the number of consecutive failures.
    Closed { failures: u32 },
    /// No requests pass before `until`. `openings` is the number of consecutive openings; 0 if the server requested the
    /// pause. `unreachable` means that no connection could be established.
    Open { until: Instant, openings: u32, unreachable: bool },
    /// A single request is in progress as a probe.
    HalfOpen { openings: u32, unreachable: bool },
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(CircuitState::Closed { failures: 0 }) }
    }

    /// Returns `Ok` if a request would be admitted now, otherwise the earliest time to try again.
    pub(crate) fn ready_at(&self, now: Instant) -> Result<(), Instant> {
        match *self.lock() {
            CircuitState::Closed { .. } => Ok(()),
            CircuitState::Open { until, .. } if until <= now => Ok(()),
            CircuitState::Open { until, .. } => Err(until),
            CircuitState::HalfOpen { .. } => Err(now + self.settings.pause),
        }
    }

    /// Returns whether a request may be sent now. The first request after the pause is the probe; no other request is
    /// admitted until it ends.
    pub(crate) fn admit(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match *state {
            CircuitState::Closed { .. } => true,
            // The pause that the server requested is over.
            CircuitState::Open { until, openings: 0, .. } if until <= now => {
                *state = CircuitState::Closed { failures: 0 };
                true
            }
            CircuitState::Open { until, openings, unreachable } if until <= now => {
                *state = CircuitState::HalfOpen { openings, unreachable };
                true
            }
            CircuitState::Open { .. } | CircuitState::HalfOpen { .. } => false,
        }
    }

    /// Reports that the answer to an admitted request has started. Closes a half-open breaker, but such that one more
    /// failure opens it again, since the answer may still be interrupted.
    pub(crate) fn started(&self) {
        let mut state = self.lock();
        if let CircuitState::HalfOpen { .. } = *state {
            *state = CircuitState::Closed { failures: self.settings.failures.saturating_sub(1) };
        }
    }

    /// Reports that an admitted request was answered completely.
    pub(crate) fn succeeded(&self) {
        *self.lock() = CircuitState::Closed { failures: 0 };
    }

    /// Reports that an admitted request failed; `unreachable` if no connection could be established.
    pub(crate) fn failed(&self, now: Instant, unreachable: bool) {
        let mut state = self.lock();
        *state = match *state {
            CircuitState::Closed { failures } if failures + 1 < self.settings.failures => {
                CircuitState::Closed { failures: failures + 1 }
            }
            CircuitState::Closed { .. } => self.open(now, 1, unreachable),
            CircuitState::HalfOpen { openings, .. } => self.open(now, openings.saturating_add(1), unreachable),
            // The request was admitted before the breaker opened.
            open @ CircuitState::Open { .. } => open,
        };
    }

    /// Reports that an admitted request ended without an outcome, for example because the caller cancelled it.
    pub(crate) fn abandon(&self, now: Instant) {
        let mut state = self.lock();
        if let CircuitState::HalfOpen { openings, unreachable } = *state {
            *state = CircuitState::Open { until: now, openings, unreachable };
        }
    }

    /// Reports that the backend requested a pause (`Retry-After`). Does not shorten a longer pause.
    pub(crate) fn pause_until(&self, until: Instant) {
        let mut state = self.lock();
        match *state {
            CircuitState::Open { until: known, .. } if known >= until => {}
            CircuitState::Open { openings, unreachable, .. } => {
                *state = CircuitState::Open { until, openings, unreachable }
            }
            CircuitState::Closed { .. } | CircuitState::HalfOpen { .. } => {
                *state = CircuitState::Open { until, openings: 0, unreachable: false }
            }
        }
    }

    /// Reports a failed health check. Opens a closed breaker before requests fail.
    pub(crate) fn health_check_failed(&self, now: Instant) {
        let mut state = self.lock();
        if let CircuitState::Closed { .. } = *state {
            *state = self.open(now, 1, true);
        }
    }

    /// Reports a successful health check. If the backend was unreachable, ends the pause, so that the next request is
    /// the probe.
    pub(crate) fn health_check_succeeded(&self, now: Instant) {
        let mut state = self.lock();
        if let CircuitState::Open { until, openings, unreachable: true } = *state
            && until > now
        {
            *state = CircuitState::Open { until: now, openings, unreachable: true };
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match *self.lock() {
            CircuitState::Closed { .. } => BreakerState::Closed,
            CircuitState::HalfOpen { .. } => BreakerState::HalfOpen,
            CircuitState::Open { .. } => BreakerState::Open,
        }
    }

    fn open(&self, now: Instant, openings: u32, unreachable: bool) -> CircuitState {
        let doubled = 2_u32.saturating_pow(openings.saturating_sub(1));
        let pause = self.settings.pause.saturating_mul(doubled).min(self.settings.longest_pause);
        // Up to 10 % jitter, so that several instances do not probe at the same time.
        let spread = Duration::from_millis(fastrand::u64(..=u64::try_from(pause.as_millis() / 10).unwrap_or(0)));
        CircuitState::Open { until: now + pause + spread, openings, unreachable }
    }

    fn lock(&self) -> MutexGuard<'_, CircuitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Instant) {
        let settings = BreakerSettings { failures: 3, pause: SECOND, longest_pause: 5 * SECOND, probe_every: SECOND };
        (Breaker::new(settings), Instant::now())
    }

    fn open(breaker: &Breaker, now: Instant) {
        for _ in 0..3 {
            assert!(breaker.admit(now));
            breaker.failed(now, false);
        }
    }

    #[test]
    fn consecutive_failures_open_the_breaker_but_not_failures_between_successes() {
        let (breaker, now) = breaker();
        for _ in 0..9 {
            breaker.failed(now, false);
            breaker.failed(now, false);
            breaker.succeeded();
        }
        assert!(breaker.admit(now));
        open(&breaker, now);
        assert!(!breaker.admit(now) && breaker.ready_at(now).is_err());
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn after_the_pause_only_one_request_is_admitted_as_a_probe() {
        let (breaker, now) = breaker();
        open(&breaker, now);
        let later = now + 2 * SECOND;
        assert!(breaker.ready_at(later).is_ok());
        assert!(breaker.admit(later));
        assert!(!breaker.admit(later), "one probe at a time");
        breaker.succeeded();
        assert!(breaker.admit(later) && breaker.admit(later));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_the_maximum() {
        let (breaker, mut now) = breaker();
        open(&breaker, now);
        for expected in [2, 4, 5, 5] {
            now += 10 * SECOND;
            assert!(breaker.admit(now));
            breaker.failed(now, false);
            let until = breaker.ready_at(now).expect_err("open");
            let pause = until - now;
            assert!(pause >= expected * SECOND && pause <= expected * SECOND * 11 / 10, "{expected}: {pause:?}");
        }
    }

    #[test]
    fn an_abandoned_probe_admits_the_next() {
        let (breaker, now) = breaker();
        open(&breaker, now);
        let later = now + 2 * SECOND;
        assert!(breaker.admit(later));
        breaker.abandon(later);
        assert!(breaker.admit(later));
    }

    #[test]
    fn health_checks_open_the_breaker_and_permit_a_probe() {
        let (breaker, now) = breaker();
        breaker.health_check_failed(now);
        assert!(!breaker.admit(now));
        breaker.health_check_succeeded(now);
        assert!(breaker.admit(now), "the probe");
        breaker.failed(now, false);
        breaker.health_check_succeeded(now);
        assert!(!breaker.admit(now), "a reachable backend that fails stays excluded");
    }

    #[test]
    fn a_requested_pause_is_respected() {
        let (breaker, now) = breaker();
        breaker.pause_until(now + 3 * SECOND);
        assert_eq!(breaker.ready_at(now), Err(now + 3 * SECOND));
        breaker.pause_until(now + SECOND);
        assert_eq!(breaker.ready_at(now), Err(now + 3 * SECOND), "a shorter pause does not replace it");
        let later = now + 3 * SECOND;
        assert!(breaker.admit(later) && breaker.admit(later), "all waiting requests are admitted");
    }

    #[test]
    fn interrupted_answers_open_the_breaker_too() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            assert!(breaker.admit(now));
            breaker.started();
            breaker.failed(now, false);
        }
        assert!(!breaker.admit(now));
        let later = now + 2 * SECOND;
        assert!(breaker.admit(later));
        breaker.started();
        assert!(breaker.admit(later), "the pause is over");
        breaker.failed(later, false);
        assert!(!breaker.admit(later), "one more interrupted answer opens it again");
    }
}
