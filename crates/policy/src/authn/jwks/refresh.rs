//! Decides when an issuer's keys are fetched: before they expire, again after a failure, and at a limited rate for
//! unknown key ids.

use std::time::Duration;
use tokio::time::Instant;

/// Intervals of the refresh.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    /// How long a key set is fresh.
    pub time_to_live: Duration,
    /// Age at which the background refresh fetches a key set again; shorter than `time_to_live`.
    pub refresh_after: Duration,
    /// Minimum interval between fetches for unknown key ids while the key set is fresh.
    pub unknown_key_interval: Duration,
    /// Delay after a failed fetch.
    pub retry_delay: Duration,
    /// Window in which at most two fetches start, whatever triggers them.
    pub burst_window: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(3600),
            refresh_after: Duration::from_secs(2700),
            unknown_key_interval: Duration::from_secs(300),
            retry_delay: Duration::from_secs(5),
            burst_window: Duration::from_secs(10),
        }
    }
}

/// What triggers a fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshTrigger {
    /// The background refresh.
    Background,
    /// A token with an unknown key id, or any token while no keys are cached.
    UnknownKey,
}

/// Times of the recent fetches.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefreshHistory {
    last_success: Option<Instant>,
    last_failure: Option<Instant>,
    last_unknown_key_fetch: Option<Instant>,
    /// Starts of the last two fetches, the older one first.
    recent_starts: [Option<Instant>; 2],
}

impl RefreshHistory {
    /// Returns whether a fetch may start now, and if so, records its start.
    pub fn try_start(&mut self, policy: &RefreshPolicy, trigger: RefreshTrigger, now: Instant) -> bool {
        let within = |at: Option<Instant>, span: Duration| at.is_some_and(|at| now.duration_since(at) < span);
        let is_fresh = within(self.last_success, policy.time_to_live);
        let is_for_unknown_key = trigger == RefreshTrigger::UnknownKey && is_fresh;
        if within(self.last_failure, policy.retry_delay)
            || within(self.recent_starts[0], policy.burst_window)
            || (is_for_unknown_key && within(self.last_unknown_key_fetch, policy.unknown_key_interval))
        {
            return false;
        }
        if is_for_unknown_key {
            self.last_unknown_key_fetch = Some(now);
        }
        self.recent_starts = [self.recent_starts[1], Some(now)];
        true
    }

    /// Records the result of a fetch.
    pub fn record_result(&mut self, succeeded: bool, now: Instant) {
        if succeeded {
            (self.last_success, self.last_failure) = (Some(now), None);
        } else {
            self.last_failure = Some(now);
        }
    }

    /// When a fetch last succeeded.
    pub fn last_success(&self) -> Option<Instant> {
        self.last_success
    }

    /// Delay until the next background refresh.
    pub fn next_delay(&self, policy: &RefreshPolicy, now: Instant) -> Duration {
        let due_at = match (self.last_failure, self.last_success) {
            (Some(failed_at), _) => Some(failed_at + policy.retry_delay),
            (None, Some(succeeded_at)) => Some(succeeded_at + policy.refresh_after),
            (None, None) => None,
        };
        let window_end = self.recent_starts[0].map(|start| start + policy.burst_window);
        due_at.max(window_end).map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn unknown_key_ids_cause_one_fetch_per_interval() {
        let (policy, start, mut history) = (RefreshPolicy::default(), Instant::now(), RefreshHistory::default());
        assert!(history.try_start(&policy, RefreshTrigger::UnknownKey, start), "no keys are cached yet");
        history.record_result(true, start);
        assert!(
            history.try_start(&policy, RefreshTrigger::UnknownKey, start + SECOND),
            "the first unknown id may come from a key rotation"
        );
        history.record_result(true, start + SECOND);
        for seconds in [2, 60, 299] {
            assert!(!history.try_start(&policy, RefreshTrigger::UnknownKey, start + SECOND * seconds), "{seconds}");
        }
        assert!(history.try_start(&policy, RefreshTrigger::UnknownKey, start + SECOND * 302));
    }

    #[test]
    fn at_most_two_fetches_start_in_ten_seconds_and_the_next_retry_is_soon() {
        let (policy, start, mut history) = (RefreshPolicy::default(), Instant::now(), RefreshHistory::default());
        let mut starts = Vec::new();
        for tenths in 0..600 {
            let now = start + SECOND * tenths / 10;
            for trigger in [RefreshTrigger::UnknownKey, RefreshTrigger::Background] {
                if history.try_start(&policy, trigger, now) {
                    starts.push(now);
                    history.record_result(false, now);
                }
            }
        }
        assert!(starts.windows(3).all(|window| window[2] - window[0] >= policy.burst_window), "{starts:?}");
        assert!(
            starts.windows(2).all(|window| window[1] - window[0] <= SECOND * 6),
            "the next attempt is soon: {starts:?}"
        );
    }

    #[test]
    fn the_background_refresh_is_early_and_recovers_from_a_long_outage_with_the_first_success() {
        let (policy, start, mut history) = (RefreshPolicy::default(), Instant::now(), RefreshHistory::default());
        assert_eq!(history.next_delay(&policy, start), Duration::ZERO, "no keys are cached yet");
        assert!(history.try_start(&policy, RefreshTrigger::Background, start));
        history.record_result(true, start);
        assert_eq!(history.next_delay(&policy, start), policy.refresh_after);
        assert!(policy.refresh_after < policy.time_to_live);
        let after_a_day = start + SECOND * 86_400;
        assert!(history.try_start(&policy, RefreshTrigger::Background, after_a_day));
        history.record_result(false, after_a_day);
        assert_eq!(history.next_delay(&policy, after_a_day), policy.retry_delay);
        assert!(history.try_start(&policy, RefreshTrigger::Background, after_a_day + SECOND * 5));
        history.record_result(true, after_a_day + SECOND * 5);
        assert!(history.next_delay(&policy, after_a_day + SECOND * 5) > SECOND * 60);
    }
}
