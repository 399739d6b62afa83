//! A rate limiter that counts in the memory of this process.

use super::{PartitionKey, QuotaPolicy, RateLimitDecision, RateLimiter};
use async_trait::async_trait;
use governor::clock::{Clock, DefaultClock, Reference};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Number of checks between two removals of the entries whose quota is fully available again.
const CHECKS_PER_SWEEP: u64 = 4_096;

/// The theoretical arrival time (TAT) of each policy, in microseconds since the limiter was created.
type ArrivalTimes = HashMap<(PartitionKey, &'static str), u64>;

/// A rate limiter for a single server. It is also the fallback of [`SharedLimiter`](super::SharedLimiter).
pub struct InProcessLimiter<C: Clock = DefaultClock> {
    clock: C,
    start: C::Instant,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    arrival_times: ArrivalTimes,
    checks: u64,
}

impl Default for InProcessLimiter {
    fn default() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl<C: Clock> InProcessLimiter<C> {
    /// Creates a limiter with another clock, for tests that control the time.
    #[must_use]
    pub fn with_clock(clock: C) -> Self {
        Self { start: clock.now(), clock, counters: Mutex::default() }
    }

    /// Checks and counts one request, with the same arithmetic as `shared.lua`.
    pub(super) fn count(&self, policies: &[QuotaPolicy]) -> RateLimitDecision {
        let now = self.clock.now().duration_since(self.start).as_u64() / 1_000;
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.sweep(now);
        let arrival_times = &mut counters.arrival_times;
        let mut backlogs: Vec<_> = policies.iter().map(|policy| backlog(arrival_times, policy, now)).collect();
        let refused = policies.iter().zip(&backlogs).any(|(policy, backlog)| policy.refuses(*backlog));
        if !refused {
            for (policy, backlog) in policies.iter().zip(&mut backlogs) {
                *backlog += policy.emission_interval();
                arrival_times.insert((policy.partition, policy.name), now + *backlog);
            }
        }
        drop(counters);
        RateLimitDecision::new(policies, &backlogs, refused)
    }
}

/// Returns the TAT minus the current time, in microseconds. It is capped at the tolerance, so that after a quota is
/// lowered, the next request waits for at most one emission interval.
fn backlog(arrival_times: &ArrivalTimes, policy: &QuotaPolicy, now: u64) -> u64 {
    let arrival = arrival_times.get(&(policy.partition, policy.name)).copied().unwrap_or(0);
    arrival.saturating_sub(now).min(policy.tolerance())
}

impl Counters {
    /// Removes the entries whose quota is fully available again, once every [`CHECKS_PER_SWEEP`] checks.
    fn sweep(&mut self, now: u64) {
        self.checks += 1;
        if self.checks.is_multiple_of(CHECKS_PER_SWEEP) {
            self.arrival_times.retain(|_, arrival| *arrival > now);
            self.arrival_times.shrink_to_fit();
        }
    }
}

#[async_trait]
impl<C> RateLimiter for InProcessLimiter<C>
where
    C: Clock + Send + Sync,
    C::Instant: Reference + Send + Sync,
{
    async fn check(&self, policies: &[QuotaPolicy]) -> RateLimitDecision {
        self.count(policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{TenantId, UserId};
    use domain::tenant::RateLimit;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;
    use uuid::Uuid;

    const LIMIT: RateLimit = RateLimit { per_minute: 10, per_hour: 50 };

    fn tenant(id: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(id))
    }

    fn user(id: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(id))
    }

    fn user_policies(id: u128) -> [QuotaPolicy; 2] {
        QuotaPolicy::for_user(tenant(1), user(id), LIMIT)
    }

    fn allows(limiter: &InProcessLimiter<FakeRelativeClock>, user: u128) -> bool {
        limiter.count(&user_policies(user)).retry_after.is_none()
    }

    #[test]
    fn a_user_above_the_limit_is_refused_and_other_users_are_not() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for remaining in (0..10).rev() {
            let decision = limiter.count(&user_policies(1));
            assert_eq!((decision.retry_after, decision.quotas[0].remaining), (None, remaining));
        }
        let refused = limiter.count(&user_policies(1));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(6)));
        assert_eq!(refused.quotas[1].remaining, 40, "the refused request does not count against the hour");
        assert!(allows(&limiter, 2));
        clock.advance(Duration::from_millis(5_999));
        assert!(!allows(&limiter, 1));
        clock.advance(Duration::from_millis(1));
        assert!(allows(&limiter, 1));
        assert!(!allows(&limiter, 1));
    }

    #[test]
    fn the_hourly_quota_limits_a_steady_client() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        let mut allowed = 0;
        for _ in 0..60 {
            allowed += u32::from(allows(&limiter, 1));
            clock.advance(Duration::from_secs(6));
        }
        // The hour allows a burst of 50 and one more every 72 s: four more within six minutes.
        assert_eq!(allowed, 54);
    }

    #[test]
    fn a_tenant_over_its_quota_affects_neither_other_tenants_nor_its_users_quotas() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        let policies = |tenant_id: u128, user_id: u128| {
            let [minute, hour] = QuotaPolicy::for_user(tenant(tenant_id), user(user_id), LIMIT);
            [minute, hour, QuotaPolicy::for_tenant(tenant(tenant_id), 5)]
        };
        // Fifty users send twenty times the tenant's quota.
        let allowed = (0..100).filter(|n| limiter.count(&policies(1, n % 50)).retry_after.is_none()).count();
        assert_eq!(allowed, 5);
        let refused = limiter.count(&policies(1, 49));
        assert_eq!((refused.quotas[0].remaining, refused.quotas[2].remaining), (10, 0));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(86_400 / 5)));
        assert_eq!(limiter.count(&policies(2, 1)).retry_after, None);
    }

    #[test]
    fn entries_with_a_full_quota_are_removed() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for user in 0..CHECKS_PER_SWEEP - 1 {
            assert!(allows(&limiter, u128::from(user)));
        }
        clock.advance(Duration::from_secs(7_200));
        assert!(allows(&limiter, u128::MAX));
        assert_eq!(limiter.counters.lock().expect("not poisoned").arrival_times.len(), 2);
    }

    #[test]
    fn a_quota_of_zero_refuses_every_request() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        let zero_limit = RateLimit { per_minute: 0, per_hour: 5 };
        let policies = QuotaPolicy::for_user(tenant(1), user(0), zero_limit);
        assert_eq!(limiter.count(&policies).retry_after, Some(Duration::from_secs(60)));
    }

    #[test]
    fn after_a_quota_is_lowered_the_wait_is_one_emission_interval() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        for _ in 0..10 {
            assert!(allows(&limiter, 1));
        }
        let [minute, _] = user_policies(1);
        let lowered = limiter.count(&[QuotaPolicy { quota: 1, window: Duration::from_secs(1), ..minute }]);
        assert_eq!(lowered.retry_after, Some(Duration::from_secs(1)));
    }
}
