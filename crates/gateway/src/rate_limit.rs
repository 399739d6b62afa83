//! How many requests one user may make: a window of a minute and one of an hour, by role.

use crate::error::ApiError;
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::error::ErrorKind;
use domain::ids::{TenantId, UserId};
use domain::tenant::RateTier;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter as Governor};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// After this many checks, counters that are full again are forgotten.
const SWEEP_EVERY: u64 = 1024;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whose requests are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
}

/// One window after a request was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Its name in the headers.
    pub name: &'static str,
    /// Requests that it allows.
    pub quota: u32,
    /// Its length.
    pub length: Duration,
    /// Requests left at this moment.
    pub remaining: u32,
    /// Until there are more: one more where the window is used up, all of them otherwise.
    pub reset: Duration,
}

/// What became of a request, and what the caller has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The windows, shortest first; a window behind one that refused was not asked and is left out.
    pub windows: Vec<Window>,
    /// The request is refused; how long to wait.
    pub retry_after: Option<Duration>,
}

/// Counts requests. In process here; where several servers share their counters, another implementation.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one request of `key` against `tier`.
    async fn check(&self, key: RateKey, tier: RateTier) -> Decision;
}

type Counters<C> = Governor<RateKey, DefaultKeyedStateStore<RateKey>, C, StateInformationMiddleware>;

/// The two windows of one tier.
struct TierCounters<C: Clock> {
    minute: Option<Counters<C>>,
    hour: Option<Counters<C>>,
}

/// Counts in the memory of this process, by the generic cell rate algorithm: a burst of the whole quota, refilled
/// evenly over the window.
pub struct InProcessLimiter<C: Clock = DefaultClock> {
    clock: C,
    tiers: Mutex<HashMap<RateTier, Arc<TierCounters<C>>>>,
    checks: AtomicU64,
}

impl Default for InProcessLimiter {
    fn default() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl<C: Clock + Clone> InProcessLimiter<C> {
    /// Counts by the given clock.
    #[must_use]
    pub fn with_clock(clock: C) -> Self {
        Self { clock, tiers: Mutex::new(HashMap::new()), checks: AtomicU64::new(0) }
    }

    fn counters(&self, tier: RateTier) -> Arc<TierCounters<C>> {
        let mut tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            tiers.retain(|_, counters| !counters.sweep());
        }
        Arc::clone(tiers.entry(tier).or_insert_with(|| {
            Arc::new(TierCounters {
                minute: counters(tier.per_minute, MINUTE, &self.clock),
                hour: counters(tier.per_hour, HOUR, &self.clock),
            })
        }))
    }

    fn count(&self, counters: Option<&Counters<C>>, key: RateKey, mut window: Window) -> (Window, Option<Duration>) {
        let Some(counters) = counters else {
            // A quota of 0 lets nothing through.
            return (window, Some(window.length));
        };
        match counters.check_key(&key) {
            Ok(state) => {
                window.remaining = state.remaining_burst_capacity();
                let used = window.quota.saturating_sub(window.remaining);
                window.reset = window.length * used / window.quota.max(1);
                (window, None)
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                window.reset = wait;
                (window, Some(wait))
            }
        }
    }
}

impl<C: Clock> TierCounters<C> {
    /// Forgets the counters that are full again; whether none is left.
    fn sweep(&self) -> bool {
        let both = [&self.minute, &self.hour];
        for counters in both.into_iter().flatten() {
            counters.retain_recent();
            counters.shrink_to_fit();
        }
        both.into_iter().flatten().all(|counters| counters.is_empty())
    }
}

fn counters<C: Clock + Clone>(quota: u32, per: Duration, clock: &C) -> Option<Counters<C>> {
    let quota = Quota::with_period(per / NonZeroU32::new(quota)?.get())?.allow_burst(NonZeroU32::new(quota)?);
    let state = DefaultKeyedStateStore::default();
    Some(Governor::new(quota, state, clock.clone()))
}

#[async_trait]
impl<C> RateLimiter for InProcessLimiter<C>
where
    C: Clock + Clone + Send + Sync,
    C::Instant: Reference + Send + Sync,
{
    async fn check(&self, key: RateKey, tier: RateTier) -> Decision {
        let counters = self.counters(tier);
        let asked = [
            (counters.minute.as_ref(), empty("minute", tier.per_minute, MINUTE)),
            (counters.hour.as_ref(), empty("hour", tier.per_hour, HOUR)),
        ];
        let mut windows = Vec::with_capacity(asked.len());
        for (counters, window) in asked {
            let (window, retry_after) = self.count(counters, key, window);
            windows.push(window);
            if retry_after.is_some() {
                return Decision { windows, retry_after };
            }
        }
        Decision { windows, retry_after: None }
    }
}

fn empty(name: &'static str, quota: u32, length: Duration) -> Window {
    Window { name, quota, length, remaining: 0, reset: length }
}

/// The answer to one request too many.
pub(crate) fn refusal(retry_after: Duration) -> ApiError {
    ApiError { retry_after: Some(retry_after), ..ApiError::of(ErrorKind::RateLimited) }
}

/// `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers has them.
pub(crate) fn write_headers(decision: &Decision, headers: &mut HeaderMap) {
    let list = |item: fn(&Window) -> String| {
        let items: Vec<_> = decision.windows.iter().map(item).collect();
        HeaderValue::try_from(items.join(", "))
    };
    let policy = list(|w| format!(r#""{}";q={};w={}"#, w.name, w.quota, w.length.as_secs()));
    let state = list(|w| format!(r#""{}";r={};t={}"#, w.name, w.remaining, seconds_up(w.reset)));
    if let (Ok(policy), Ok(state)) = (policy, state) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, state);
    }
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use uuid::Uuid;

    const TIER: RateTier = RateTier { per_minute: 10, per_hour: 50 };

    fn key(user: u128) -> RateKey {
        RateKey { tenant: TenantId::from_uuid(Uuid::from_u128(1)), user: UserId::from_uuid(Uuid::from_u128(user)) }
    }

    async fn allowed(limiter: &InProcessLimiter<FakeRelativeClock>, user: u128) -> bool {
        limiter.check(key(user), TIER).await.retry_after.is_none()
    }

    #[tokio::test]
    async fn the_eleventh_quick_request_waits_and_other_users_do_not() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for left in (0..10).rev() {
            let decision = limiter.check(key(1), TIER).await;
            assert_eq!((decision.retry_after, decision.windows[0].remaining), (None, left));
        }
        let refused = limiter.check(key(1), TIER).await;
        assert_eq!(refused.retry_after, Some(Duration::from_secs(6)));
        assert_eq!(refused.windows.len(), 1, "the hour was not charged");
        assert!(allowed(&limiter, 2).await);
        clock.advance(Duration::from_millis(5_999));
        assert!(!allowed(&limiter, 1).await);
        clock.advance(Duration::from_millis(1));
        assert!(allowed(&limiter, 1).await);
        assert!(!allowed(&limiter, 1).await);
    }

    #[tokio::test]
    async fn the_hour_ends_before_the_minutes_do() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        let mut served = 0;
        for _ in 0..60 {
            served += u32::from(allowed(&limiter, 1).await);
            clock.advance(Duration::from_secs(6));
        }
        // The hour allows 50 and gives back one in 72 s: four more within six minutes.
        assert_eq!(served, 54);
    }

    #[tokio::test]
    async fn counters_that_are_full_again_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let limiter = InProcessLimiter::with_clock(clock.clone());
        for user in 0..SWEEP_EVERY - 1 {
            assert!(allowed(&limiter, u128::from(user)).await);
        }
        clock.advance(HOUR * 2);
        assert!(allowed(&limiter, u128::MAX).await);
        let counters = limiter.counters(TIER);
        assert_eq!(counters.hour.as_ref().map(Governor::len), Some(1));
    }

    #[tokio::test]
    async fn a_quota_of_nothing_lets_nothing_through() {
        let limiter = InProcessLimiter::with_clock(FakeRelativeClock::default());
        let none = RateTier { per_minute: 0, per_hour: 5 };
        assert_eq!(limiter.check(key(1), none).await.retry_after, Some(MINUTE));
    }
}
