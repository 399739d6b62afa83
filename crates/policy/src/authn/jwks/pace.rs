//! When an issuer's keys are fetched: before they are old, again after a failure, and rarely for an unknown key id.

use std::time::{Duration, Instant};

/// The intervals.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a key set is fresh.
    pub time_to_live: Duration,
    /// When it is fetched again, in the background, while it is still fresh.
    pub refresh_after: Duration,
    /// How often an unknown key id may cause a fetch while the set is fresh.
    pub unknown_key: Duration,
    /// How long nothing is fetched after a failure.
    pub retry: Duration,
    /// No more than two fetches begin within this time, whatever asks for them.
    pub window: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(3600),
            refresh_after: Duration::from_secs(2700),
            unknown_key: Duration::from_secs(300),
            retry: Duration::from_secs(5),
            window: Duration::from_secs(10),
        }
    }
}

/// Why a fetch is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is time: the background asks.
    Due,
    /// A token names a key that is not known, or no key is known at all.
    UnknownKey,
}

/// What was fetched when.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    succeeded: Option<Instant>,
    failed: Option<Instant>,
    unknown_key: Option<Instant>,
    /// The last two beginnings, the older one first.
    begun: [Option<Instant>; 2],
}

impl History {
    /// Whether a fetch may begin now; if so, it counts as begun.
    pub fn may_begin(&mut self, pace: &Pace, why: Why, now: Instant) -> bool {
        let within = |at: Option<Instant>, span: Duration| at.is_some_and(|at| now.duration_since(at) < span);
        let is_fresh = within(self.succeeded, pace.time_to_live);
        let for_unknown = why == Why::UnknownKey && is_fresh;
        if within(self.failed, pace.retry)
            || within(self.begun[0], pace.window)
            || (for_unknown && within(self.unknown_key, pace.unknown_key))
        {
            return false;
        }
        if for_unknown {
            self.unknown_key = Some(now);
        }
        self.begun = [self.begun[1], Some(now)];
        true
    }

    /// A fetch ended.
    pub fn ended(&mut self, well: bool, now: Instant) {
        if well {
            (self.succeeded, self.failed) = (Some(now), None);
        } else {
            self.failed = Some(now);
        }
    }

    /// How long the background waits before it fetches.
    pub fn wait(&self, pace: &Pace, now: Instant) -> Duration {
        let due = match (self.failed, self.succeeded) {
            (Some(failed), _) => Some(failed + pace.retry),
            (None, Some(succeeded)) => Some(succeeded + pace.refresh_after),
            (None, None) => None,
        };
        let window = self.begun[0].map(|begun| begun + pace.window);
        due.max(window).map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn unknown_key_ids_cause_one_fetch_and_then_none_for_a_while() {
        let (pace, start, mut history) = (Pace::default(), Instant::now(), History::default());
        assert!(history.may_begin(&pace, Why::UnknownKey, start), "nothing is known yet");
        history.ended(true, start);
        assert!(history.may_begin(&pace, Why::UnknownKey, start + SECOND), "the first one may be a rotation");
        history.ended(true, start + SECOND);
        for seconds in [2, 60, 299] {
            assert!(!history.may_begin(&pace, Why::UnknownKey, start + SECOND * seconds), "{seconds}");
        }
        assert!(history.may_begin(&pace, Why::UnknownKey, start + SECOND * 302));
    }

    #[test]
    fn whatever_asks_two_fetches_begin_in_ten_seconds_and_an_outage_is_over_soon_after() {
        let (pace, start, mut history) = (Pace::default(), Instant::now(), History::default());
        let mut begun = Vec::new();
        for tenth in 0..600 {
            let now = start + SECOND * tenth / 10;
            for why in [Why::UnknownKey, Why::Due] {
                if history.may_begin(&pace, why, now) {
                    begun.push(now);
                    history.ended(false, now);
                }
            }
        }
        assert!(begun.windows(3).all(|three| three[2] - three[0] >= pace.window), "{begun:?}");
        assert!(begun.windows(2).all(|two| two[1] - two[0] <= SECOND * 6), "the next attempt is never far: {begun:?}");
    }

    #[test]
    fn the_background_is_early_and_an_outage_of_a_day_ends_with_the_first_answer() {
        let (pace, start, mut history) = (Pace::default(), Instant::now(), History::default());
        assert_eq!(history.wait(&pace, start), Duration::ZERO, "nothing is known yet");
        assert!(history.may_begin(&pace, Why::Due, start));
        history.ended(true, start);
        assert_eq!(history.wait(&pace, start), pace.refresh_after);
        assert!(pace.refresh_after < pace.time_to_live);
        let day = start + SECOND * 86_400;
        assert!(history.may_begin(&pace, Why::Due, day));
        history.ended(false, day);
        assert_eq!(history.wait(&pace, day), pace.retry);
        assert!(history.may_begin(&pace, Why::Due, day + SECOND * 5));
        history.ended(true, day + SECOND * 5);
        assert!(history.wait(&pace, day + SECOND * 5) > SECOND * 60);
    }
}
