//! Rate limits that several servers share through Redis, and what happens without Redis.

use crate::support::app::{A, App};
use crate::support::redis::Redis;
use domain::ids::{TenantId, UserId};
use domain::tenant::RateTier;
use fakes::eventually;
use gateway::{InProcessLimiter, LimiterMetrics, QuotaPolicy, RateLimitDecision, RateLimiter, SharedLimiter};
use prometheus::{Registry, TextEncoder};
use std::time::{Duration, Instant};
use uuid::Uuid;

const TIER: RateTier = RateTier { per_minute: 10, per_hour: 50 };

/// The limiter of one server, and its metrics.
struct Replica {
    limiter: SharedLimiter,
    metrics: Registry,
}

impl Replica {
    async fn of(redis: &Redis) -> Self {
        let metrics = Registry::new();
        let registered = LimiterMetrics::register(&metrics).expect("new names");
        Self { limiter: SharedLimiter::open(&redis.url(), registered).await.expect("a URL"), metrics }
    }

    fn shared(&self) -> bool {
        let text = TextEncoder::new().encode_to_string(&self.metrics.gather()).expect("metrics");
        text.lines().any(|line| line == "rate_limit_shared 1")
    }

    async fn until_shared(&self) {
        eventually("the limiter uses Redis again", || async { self.shared().then_some(()) }).await;
    }

    async fn ask(&self, user: u128) -> RateLimitDecision {
        self.limiter.check(&policies(user)).await
    }

    /// Sends `n` requests; returns how many pass.
    async fn pass(&self, user: u128, n: usize) -> usize {
        let mut passed = 0;
        for _ in 0..n {
            passed += usize::from(self.ask(user).await.retry_after.is_none());
        }
        passed
    }
}

fn policies(user: u128) -> Vec<QuotaPolicy> {
    let tenant = TenantId::from_uuid(Uuid::from_u128(1));
    let user = UserId::from_uuid(Uuid::from_u128(user));
    let [minute, hour] = QuotaPolicy::for_user(tenant, user, TIER);
    vec![minute, hour, QuotaPolicy::for_tenant(tenant, 1_000)]
}

#[tokio::test]
async fn redis_counts_as_the_process_does() {
    let redis = Redis::start();
    let (shared, alone) = (Replica::of(&redis).await, InProcessLimiter::default());
    for n in 0..15 {
        let (ours, theirs) = (alone.check(&policies(1)).await, shared.ask(1).await);
        assert_eq!(ours.retry_after.is_some(), theirs.retry_after.is_some(), "request {n}");
        for (our, their) in ours.quotas.iter().zip(&theirs.quotas) {
            assert_eq!((our.name, our.quota, our.remaining), (their.name, their.quota, their.remaining), "{n}");
            let apart = our.reset.abs_diff(their.reset);
            assert!(apart < Duration::from_secs(1), "request {n}: {our:?} {their:?}");
        }
    }
    assert!(shared.shared());
}

#[tokio::test]
async fn two_servers_together_give_a_quota_once() {
    let redis = Redis::start();
    let (one, other) = (Replica::of(&redis).await, Replica::of(&redis).await);
    let all = futures::future::join_all((0..20).flat_map(|_| [one.ask(1), other.ask(1)])).await;
    assert_eq!(all.iter().filter(|decision| decision.retry_after.is_none()).count(), 10);
    let (here, there) = (one.ask(1).await, other.ask(1).await);
    assert_eq!(here.quotas[0].remaining, there.quotas[0].remaining);
    assert!(here.retry_after.zip(there.retry_after).is_some_and(|(a, b)| a.abs_diff(b) < Duration::from_secs(1)));
    assert_eq!(one.pass(2, 12).await, 10, "another user has a quota of their own");
}

#[tokio::test]
async fn a_server_whose_redis_is_killed_counts_alone_and_finds_it_again() {
    let mut redis = Redis::start();
    let (one, other) = (Replica::of(&redis).await, Replica::of(&redis).await);
    assert_eq!(one.pass(1, 4).await, 4);
    redis.kill();
    let begun = Instant::now();
    assert_eq!(
        (one.pass(1, 40).await, other.pass(1, 40).await),
        (10, 10),
        "each server applies the whole quota by itself"
    );
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(!one.shared());
    redis.restart();
    one.until_shared().await;
    other.until_shared().await;
    assert_eq!(one.pass(1, 6).await + other.pass(1, 6).await, 10, "one quota again");
}

#[tokio::test]
async fn a_redis_that_hangs_holds_up_one_request_for_a_moment() {
    let redis = Redis::start();
    let one = Replica::of(&redis).await;
    redis.freeze();
    let begun = Instant::now();
    assert_eq!(one.pass(1, 100).await, 10);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(!one.shared());
    redis.thaw();
    one.until_shared().await;
}

#[tokio::test]
async fn a_server_starts_without_its_redis() {
    let mut redis = Redis::start();
    redis.kill();
    let one = Replica::of(&redis).await;
    assert_eq!(one.pass(1, 12).await, 10);
    redis.restart();
    one.until_shared().await;
    assert_eq!(one.pass(1, 12).await, 10);
}

#[tokio::test]
async fn a_users_quota_is_the_same_whichever_server_is_asked() {
    let redis = Redis::start();
    let url = redis.url();
    let settings = [("PLATFORM__RATE_LIMIT__ENABLED", "true"), ("REDIS_URL", url.as_str())];
    let one = App::start(&settings).await;
    let other = one.replica(&settings).await;
    for n in (0..10).rev() {
        let server = if n % 2 == 0 { &one } else { &other };
        let answer = server.as_viewer(A).get("/v1/me").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("ratelimit").is_some_and(|state| state.contains(&format!(r#""minute";r={n};"#))), "{n}");
    }
    for server in [&one, &other] {
        let refused = server.as_viewer(A).get("/v1/me").await;
        refused.problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
}
