//! A circuit breaker: a backend whose model keeps failing is left alone for a while, then one request tries whether it is back.

use crate::config::BreakerSettings;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Whether a backend may be asked.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It may; so many failures came in a row.
    Closed { failures: u32 },
    /// It may not before `until`; it is the `times`th pause in a row.
    Open { until: Instant, times: u32, gone: bool },
    /// One request is trying.
    HalfOpen { times: u32, gone: bool },
}

/// What a breaker shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// One request tries.
    HalfOpen,
    /// No request goes through.
    Open,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a request could be let through now; otherwise, when the next one could.
    pub(crate) fn ready_at(&self, now: Instant) -> Result<(), Instant> {
        match *self.state() {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if until <= now => Ok(()),
            State::Open { until, .. } => Err(until),
            State::HalfOpen { .. } => Err(now + self.settings.pause),
        }
    }

    /// Lets a request through, if one may be; the first after a pause is the probe, and nobody else passes until it ends.
    pub(crate) fn enter(&self, now: Instant) -> bool {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => true,
            // The pause was asked for, and is over.
            State::Open { until, times: 0, .. } if until <= now => {
                *state = State::Closed { failures: 0 };
                true
            }
            State::Open { until, times, gone } if until <= now => {
                *state = State::HalfOpen { times, gone };
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// A request that was let through has begun to be answered. That ends a pause, but no row of failures: an answer may
    /// break off yet.
    pub(crate) fn begun(&self) {
        let mut state = self.state();
        if let State::HalfOpen { .. } = *state {
            *state = State::Closed { failures: self.settings.failures.saturating_sub(1) };
        }
    }

    /// A request that was let through was answered.
    pub(crate) fn succeeded(&self) {
        *self.state() = State::Closed { failures: 0 };
    }

    /// A request that was let through failed.
    pub(crate) fn failed(&self, now: Instant, gone: bool) {
        let mut state = self.state();
        *state = match *state {
            State::Closed { failures } if failures + 1 < self.settings.failures => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => self.open(now, 1, gone),
            State::HalfOpen { times, .. } => self.open(now, times.saturating_add(1), gone),
            // Others were under way when it opened.
            open @ State::Open { .. } => open,
        };
    }

    /// A request that was let through ended without telling how the backend is.
    pub(crate) fn left(&self, now: Instant) {
        let mut state = self.state();
        if let State::HalfOpen { times, gone } = *state {
            *state = State::Open { until: now, times, gone };
        }
    }

    /// The backend asked not to be asked before `until`.
    pub(crate) fn pause_until(&self, until: Instant) {
        let mut state = self.state();
        match *state {
            State::Open { until: known, .. } if known >= until => {}
            State::Open { times, gone, .. } => *state = State::Open { until, times, gone },
            State::Closed { .. } | State::HalfOpen { .. } => *state = State::Open { until, times: 0, gone: false },
        }
    }

    /// A look at the backend found it gone: no request needs to find that out.
    pub(crate) fn seen_gone(&self, now: Instant) {
        let mut state = self.state();
        if let State::Closed { .. } = *state {
            *state = self.open(now, 1, true);
        }
    }

    /// A look at the backend found it there: where it was gone, a request may try at once.
    pub(crate) fn seen_there(&self, now: Instant) {
        let mut state = self.state();
        if let State::Open { until, times, gone: true } = *state
            && until > now
        {
            *state = State::Open { until: now, times, gone: true };
        }
    }

    pub(crate) fn shown(&self) -> BreakerState {
        match *self.state() {
            State::Closed { .. } => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    fn open(&self, now: Instant, times: u32, gone: bool) -> State {
        let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
        let pause = self.settings.pause.saturating_mul(doubled).min(self.settings.longest_pause);
        // Spread out, so that several servers of the platform do not try at the same moment.
        let spread = Duration::from_millis(fastrand::u64(..=u64::try_from(pause.as_millis() / 10).unwrap_or(0)));
        State::Open { until: now + pause + spread, times, gone }
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
            assert!(breaker.enter(now));
            breaker.failed(now, false);
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let (breaker, now) = breaker();
        for _ in 0..9 {
            breaker.failed(now, false);
            breaker.failed(now, false);
            breaker.succeeded();
        }
        assert!(breaker.enter(now));
        open(&breaker, now);
        assert!(!breaker.enter(now) && breaker.ready_at(now).is_err());
        assert_eq!(breaker.shown(), BreakerState::Open);
    }

    #[test]
    fn after_the_pause_one_request_tries_and_the_others_wait_for_it() {
        let (breaker, now) = breaker();
        open(&breaker, now);
        let later = now + 2 * SECOND;
        assert!(breaker.ready_at(later).is_ok());
        assert!(breaker.enter(later));
        assert!(!breaker.enter(later), "one probe at a time");
        breaker.succeeded();
        assert!(breaker.enter(later) && breaker.enter(later));
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_the_longest() {
        let (breaker, mut now) = breaker();
        open(&breaker, now);
        for expected in [2, 4, 5, 5] {
            now += 10 * SECOND;
            assert!(breaker.enter(now));
            breaker.failed(now, false);
            let until = breaker.ready_at(now).expect_err("open");
            let pause = until - now;
            assert!(pause >= expected * SECOND && pause <= expected * SECOND * 11 / 10, "{expected}: {pause:?}");
        }
    }

    #[test]
    fn a_probe_that_nobody_waited_for_leaves_the_place_to_the_next() {
        let (breaker, now) = breaker();
        open(&breaker, now);
        let later = now + 2 * SECOND;
        assert!(breaker.enter(later));
        breaker.left(later);
        assert!(breaker.enter(later));
    }

    #[test]
    fn a_look_opens_it_for_one_that_is_gone_and_lets_a_request_try_once_it_is_there() {
        let (breaker, now) = breaker();
        breaker.seen_gone(now);
        assert!(!breaker.enter(now));
        breaker.seen_there(now);
        assert!(breaker.enter(now), "the probe");
        breaker.failed(now, false);
        breaker.seen_there(now);
        assert!(!breaker.enter(now), "one that is there and fails is left alone all the same");
    }

    #[test]
    fn a_backend_that_asks_for_a_pause_gets_it() {
        let (breaker, now) = breaker();
        breaker.pause_until(now + 3 * SECOND);
        assert_eq!(breaker.ready_at(now), Err(now + 3 * SECOND));
        breaker.pause_until(now + SECOND);
        assert_eq!(breaker.ready_at(now), Err(now + 3 * SECOND), "a shorter one does not end it");
        let later = now + 3 * SECOND;
        assert!(breaker.enter(later) && breaker.enter(later), "then all of those who waited may");
    }

    #[test]
    fn answers_that_begin_and_break_off_open_it_too() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            assert!(breaker.enter(now));
            breaker.begun();
            breaker.failed(now, false);
        }
        assert!(!breaker.enter(now));
        let later = now + 2 * SECOND;
        assert!(breaker.enter(later));
        breaker.begun();
        assert!(breaker.enter(later), "the pause is over");
        breaker.failed(later, false);
        assert!(!breaker.enter(later), "and one more that breaks off is enough");
    }
}
