//! Counts in the memory of this process.

use super::{Ask, Decision, RateLimiter, Whose};
use async_trait::async_trait;
use governor::clock::{Clock, DefaultClock, Reference};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// After this many checks, counters that are full again are forgotten.
const SWEEP_EVERY: u64 = 4_096;

/// When a window will be full again, in microseconds of the limiter's own time.
type Counters = HashMap<(Whose, &'static str), u64>;

/// Counts in the memory of this process.
pub struct InProcessLimiter<C: Clock = DefaultClock> {
    clock: C,
    start: C::Instant,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    counters: Counters,
    checks: u64,
}

impl Default for InProcessLimiter {
    fn default() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl<C: Clock> InProcessLimiter<C> {
    /// Counts by the given clock.
    #[must_use]
    pub fn with_clock(clock: C) -> Self {
        Self { start: clock.now(), clock, counted: Mutex::default() }
    }

    /// Counts one request; what the script of the shared counters does, too.
    pub(super) fn count(&self, asked: &[Ask]) -> Decision {
        let now = self.clock.now().duration_since(self.start).as_u64() / 1_000;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.sweep(now);
        let counters = &mut counted.counters;
        let mut backlogs: Vec<_> = asked.iter().map(|ask| backlog(counters, ask, now)).collect();
        let refused = asked.iter().zip(&backlogs).any(|(ask, backlog)| ask.refuses(*backlog));
        if !refused {
            for (ask, backlog) in asked.iter().zip(&mut backlogs) {
                *backlog += ask.emission();
                counters.insert((ask.whose, ask.name), now + *backlog);
            }
        }
        drop(counted);
        Decision::of(asked, &backlogs, refused)
    }
}

/// Microseconds in use. Never more than the window holds: a quota that was lowered is used up, not overdrawn.
fn backlog(counters: &Counters, ask: &Ask, now: u64) -> u64 {
    let full_at = counters.get(&(ask.whose, ask.name)).copied().unwrap_or(0);
    full_at.saturating_sub(now).min(ask.tolerance())
}

impl Counted {
    fn sweep(&mut self, now: u64) {
        self.checks += 1;
        if self.checks.is_multiple_of(SWEEP_EVERY) {
            self.counters.retain(|_, full_at| *full_at > now);
            self.counters.shrink_to_fit();
        }
    }
}

#[async_trait]
impl<C> RateLimiter for InProcessLimiter<C>
where
    C: Clock + Send + Sync,
    C::Instant: Reference + Send + Sync,
{
    async fn check(&self, asked: &[Ask]) -> Decision {
        self.count(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RateKey;
    use super::*;
    use domain::ids::{TenantId, UserId};
    use domain::tenant::RateTier;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;
    use uuid::Uuid;

    const TIER: RateTier = RateTier { per_minute: 10, per_hour: 50 };

    fn tenant(id: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(id))
    }

    fn asks(user: u128) -> [Ask; 2] {
        Ask::of_user(RateKey { tenant: tenant(1), user: UserId::from_uuid(Uuid::from_u128(user)) }, TIER)
    }

    fn allowed(limiter: &InProcessLimiter<FakeRelativeClock>, user: u128) -> bool {
        limiter.count(&asks(user)).retry_after.is_none()
    }

    #[test]
    fn the_eleventh_quick_request_waits_and_other_users_do_not() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for left in (0..10).rev() {
            let decision = limiter.count(&asks(1));
            assert_eq!((decision.retry_after, decision.windows[0].remaining), (None, left));
        }
        let refused = limiter.count(&asks(1));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(6)));
        assert_eq!(refused.windows[1].remaining, 40, "the hour was not charged");
        assert!(allowed(&limiter, 2));
        clock.advance(Duration::from_millis(5_999));
        assert!(!allowed(&limiter, 1));
        clock.advance(Duration::from_millis(1));
        assert!(allowed(&limiter, 1));
        assert!(!allowed(&limiter, 1));
    }

    #[test]
    fn the_hour_ends_before_the_minutes_do() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        let mut served = 0;
        for _ in 0..60 {
            served += u32::from(allowed(&limiter, 1));
            clock.advance(Duration::from_secs(6));
        }
        // The hour allows 50 and gives back one in 72 s: four more within six minutes.
        assert_eq!(served, 54);
    }

    #[test]
    fn a_tenant_that_used_up_its_day_leaves_others_alone_and_its_users_uncharged() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        let of = |tenant_id: u128, user: u128| {
            let key = RateKey { tenant: tenant(tenant_id), user: UserId::from_uuid(Uuid::from_u128(user)) };
            let [minute, hour] = Ask::of_user(key, TIER);
            [minute, hour, Ask::of_tenant(tenant(tenant_id), 5)]
        };
        // Twenty times its quota, from many users.
        let served = (0..100).filter(|n| limiter.count(&of(1, n % 50)).retry_after.is_none()).count();
        assert_eq!(served, 5);
        let refused = limiter.count(&of(1, 49));
        assert_eq!((refused.windows[0].remaining, refused.windows[2].remaining), (10, 0));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(86_400 / 5)));
        assert_eq!(limiter.count(&of(2, 1)).retry_after, None);
    }

    #[test]
    fn counters_that_are_full_again_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for user in 0..SWEEP_EVERY - 1 {
            assert!(allowed(&limiter, u128::from(user)));
        }
        clock.advance(Duration::from_secs(7_200));
        assert!(allowed(&limiter, u128::MAX));
        assert_eq!(limiter.counted.lock().expect("not poisoned").counters.len(), 2);
    }

    #[test]
    fn a_quota_of_nothing_lets_nothing_through() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        let none = RateTier { per_minute: 0, per_hour: 5 };
        let key = RateKey { tenant: tenant(1), user: UserId::from_uuid(Uuid::nil()) };
        assert_eq!(limiter.count(&Ask::of_user(key, none)).retry_after, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_quota_that_was_lowered_is_used_up_and_not_overdrawn() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        for _ in 0..10 {
            assert!(allowed(&limiter, 1));
        }
        let [minute, _] = asks(1);
        let lowered = limiter.count(&[Ask { quota: 1, length: Duration::from_secs(1), ..minute }]);
        assert_eq!(lowered.retry_after, Some(Duration::from_secs(1)));
    }
}
