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

/// How an admitted request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FailureKind {
    /// No connection could be established.
    Unreachable,
    /// The backend was reached, but did not answer as it should.
    Other,
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
    pub(crate) fn check_ready(&self, now: Instant) -> Result<(), Instant> {
        match *self.lock() {
            CircuitState::Closed { .. } => Ok(()),
            CircuitState::Open { until, .. } if until <= now => Ok(()),
            CircuitState::Open { until, .. } => Err(until),
            CircuitState::HalfOpen { .. } => Err(now + self.settings.initial_pause),
        }
    }

    /// Returns whether a request may be sent now. The first request after the pause is the probe; no other request is
    /// admitted until it ends.
    pub(crate) fn try_admit(&self, now: Instant) -> bool {
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

    /// Reports that the answer to an admitted request has started. Closes a half-open breaker; one more failure opens
    /// it again, because the answer may still be interrupted.
    pub(crate) fn record_start(&self) {
        let mut state = self.lock();
        if let CircuitState::HalfOpen { .. } = *state {
            *state = CircuitState::Closed { failures: self.settings.failure_threshold.saturating_sub(1) };
        }
    }

    /// Reports that an admitted request was answered completely.
    pub(crate) fn record_success(&self) {
        *self.lock() = CircuitState::Closed { failures: 0 };
    }

    /// Reports that an admitted request failed.
    pub(crate) fn record_failure(&self, now: Instant, kind: FailureKind) {
        let unreachable = kind == FailureKind::Unreachable;
        let mut state = self.lock();
        *state = match *state {
            CircuitState::Closed { failures } if failures + 1 < self.settings.failure_threshold => {
                CircuitState::Closed { failures: failures + 1 }
            }
            CircuitState::Closed { .. } => self.open(now, 1, unreachable),
            CircuitState::HalfOpen { openings, .. } => self.open(now, openings.saturating_add(1), unreachable),
            // The request was admitted before the breaker opened.
            open @ CircuitState::Open { .. } => open,
        };
    }

    /// Reports that an admitted request ended without an outcome, for example because the caller cancelled it.
    pub(crate) fn record_abandoned(&self, now: Instant) {
        let mut state = self.lock();
        if let CircuitState::HalfOpen { openings, unreachable } = *state {
            *state = CircuitState::Open { until: now, openings, unreachable };
        }
    }

    /// Reports that the backend requested a pause (`Retry-After`). Does not shorten a longer pause.
    pub(crate) fn pause_until(&self, until: Instant) {
        let mut state = self.lock();
        match *state {
            CircuitState::Open { until: current, .. } if current >= until => {}
            CircuitState::Open { openings, unreachable, .. } => {
                *state = CircuitState::Open { until, openings, unreachable }
            }
            CircuitState::Closed { .. } | CircuitState::HalfOpen { .. } => {
                *state = CircuitState::Open { until, openings: 0, unreachable: false }
            }
        }
    }

    /// Reports a failed health check. Opens a closed breaker before requests fail.
    pub(crate) fn record_failed_health_check(&self, now: Instant) {
        let mut state = self.lock();
        if let CircuitState::Closed { .. } = *state {
            *state = self.open(now, 1, true);
        }
    }

    /// Reports a successful health check. If the backend was unreachable, ends the pause, so that the next request is
    /// the probe.
    pub(crate) fn record_successful_health_check(&self, now: Instant) {
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
        let factor = 2_u32.saturating_pow(openings.saturating_sub(1));
        let pause = self.settings.initial_pause.saturating_mul(factor).min(self.settings.max_pause);
        // Up to 10% jitter, so that several instances do not probe at the same time.
        let jitter = Duration::from_millis(fastrand::u64(..=u64::try_from(pause.as_millis() / 10).unwrap_or(0)));
        CircuitState::Open { until: now + pause + jitter, openings, unreachable }
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
        let settings = BreakerSettings {
            failure_threshold: 3,
            initial_pause: SECOND,
            max_pause: 5 * SECOND,
            health_check_interval: SECOND,
        };
        (Breaker::new(settings), Instant::now())
    }

    fn trip(breaker: &Breaker, now: Instant) {
        for _ in 0..3 {
            assert!(breaker.try_admit(now));
            breaker.record_failure(now, FailureKind::Other);
        }
    }

    #[test]
    fn consecutive_failures_open_the_breaker_but_not_failures_between_successes() {
        let (breaker, now) = breaker();
        for _ in 0..9 {
            breaker.record_failure(now, FailureKind::Other);
            breaker.record_failure(now, FailureKind::Other);
            breaker.record_success();
        }
        assert!(breaker.try_admit(now));
        trip(&breaker, now);
        assert!(!breaker.try_admit(now) && breaker.check_ready(now).is_err());
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn after_the_pause_only_one_request_is_admitted_as_a_probe() {
        let (breaker, now) = breaker();
        trip(&breaker, now);
        let after_pause = now + 2 * SECOND;
        assert!(breaker.check_ready(after_pause).is_ok());
        assert!(breaker.try_admit(after_pause));
        assert!(!breaker.try_admit(after_pause), "one probe at a time");
        breaker.record_success();
        assert!(breaker.try_admit(after_pause) && breaker.try_admit(after_pause));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_the_maximum() {
        let (breaker, mut now) = breaker();
        trip(&breaker, now);
        for expected in [2, 4, 5, 5] {
            now += 10 * SECOND;
            assert!(breaker.try_admit(now));
            breaker.record_failure(now, FailureKind::Other);
            let until = breaker.check_ready(now).expect_err("open");
            let pause = until - now;
            assert!(pause >= expected * SECOND && pause <= expected * SECOND * 11 / 10, "{expected}: {pause:?}");
        }
    }

    #[test]
    fn after_an_abandoned_probe_the_next_request_is_admitted() {
        let (breaker, now) = breaker();
        trip(&breaker, now);
        let after_pause = now + 2 * SECOND;
        assert!(breaker.try_admit(after_pause));
        breaker.record_abandoned(after_pause);
        assert!(breaker.try_admit(after_pause));
    }

    #[test]
    fn health_checks_open_the_breaker_and_permit_a_probe() {
        let (breaker, now) = breaker();
        breaker.record_failed_health_check(now);
        assert!(!breaker.try_admit(now));
        breaker.record_successful_health_check(now);
        assert!(breaker.try_admit(now), "the probe");
        breaker.record_failure(now, FailureKind::Other);
        breaker.record_successful_health_check(now);
        assert!(!breaker.try_admit(now), "a reachable backend that fails stays excluded");
    }

    #[test]
    fn a_requested_pause_is_respected() {
        let (breaker, now) = breaker();
        breaker.pause_until(now + 3 * SECOND);
        assert_eq!(breaker.check_ready(now), Err(now + 3 * SECOND));
        breaker.pause_until(now + SECOND);
        assert_eq!(breaker.check_ready(now), Err(now + 3 * SECOND), "a shorter pause does not replace it");
        let after_pause = now + 3 * SECOND;
        assert!(breaker.try_admit(after_pause) && breaker.try_admit(after_pause), "all waiting requests are admitted");
    }

    #[test]
    fn interrupted_answers_open_the_breaker_too() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            assert!(breaker.try_admit(now));
            breaker.record_start();
            breaker.record_failure(now, FailureKind::Other);
        }
        assert!(!breaker.try_admit(now));
        let after_pause = now + 2 * SECOND;
        assert!(breaker.try_admit(after_pause));
        breaker.record_start();
        assert!(breaker.try_admit(after_pause), "the pause is over");
        breaker.record_failure(after_pause, FailureKind::Other);
        assert!(!breaker.try_admit(after_pause), "one more interrupted answer opens it again");
    }
}
