//! Rate limits that several servers share through Redis, and their behavior when Redis is down.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::redis::RedisServer;
use domain::ids::{TenantId, UserId};
use domain::tenant::RateLimit;
use fakes::eventually;
use gateway::{InProcessLimiter, LimiterMetrics, QuotaPolicy, RateLimitDecision, RateLimiter, SharedLimiter};
use prometheus::{Registry, TextEncoder};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const RATE_LIMIT: RateLimit = RateLimit { per_minute: 10, per_hour: 50 };

/// The limiter of one server, and its metrics.
struct Replica {
    limiter: SharedLimiter,
    metrics: Registry,
}

impl Replica {
    async fn start(redis: &RedisServer) -> Self {
        let metrics = Registry::new();
        let limiter_metrics = LimiterMetrics::register(&metrics).expect("new names");
        Self { limiter: SharedLimiter::open(&redis.url(), limiter_metrics).await.expect("a URL"), metrics }
    }

    fn uses_redis(&self) -> bool {
        let text = TextEncoder::new().encode_to_string(&self.metrics.gather()).expect("metrics");
        text.lines().any(|line| line == "rate_limit_shared 1")
    }

    async fn wait_until_redis_is_used(&self) {
        eventually("the limiter uses Redis again", || async { self.uses_redis().then_some(()) }).await;
    }

    async fn check(&self, user: u128) -> RateLimitDecision {
        self.limiter.check(&policies(user)).await
    }

    /// Checks `n` requests of a user; returns how many are allowed.
    async fn count_passed(&self, user: u128, n: usize) -> usize {
        let mut passed_count = 0;
        for _ in 0..n {
            passed_count += usize::from(self.check(user).await.retry_after.is_none());
        }
        passed_count
    }
}

fn policies(user: u128) -> Vec<QuotaPolicy> {
    let tenant = TenantId::from_uuid(Uuid::from_u128(1));
    let user = UserId::from_uuid(Uuid::from_u128(user));
    let [minute, hour] = QuotaPolicy::for_user(tenant, user, RATE_LIMIT);
    vec![minute, hour, QuotaPolicy::for_tenant(tenant, 1_000)]
}

#[tokio::test]
async fn the_shared_limiter_counts_like_the_in_process_limiter() {
    let redis = RedisServer::start();
    let (shared, in_process) = (Replica::start(&redis).await, InProcessLimiter::default());
    for n in 0..15 {
        let (in_process_decision, shared_decision) = (in_process.check(&policies(1)).await, shared.check(1).await);
        assert_eq!(in_process_decision.retry_after.is_some(), shared_decision.retry_after.is_some(), "request {n}");
        for (in_process_quota, shared_quota) in in_process_decision.quotas.iter().zip(&shared_decision.quotas) {
            assert_eq!(
                (in_process_quota.name, in_process_quota.quota, in_process_quota.remaining),
                (shared_quota.name, shared_quota.quota, shared_quota.remaining),
                "{n}"
            );
            let reset_difference = in_process_quota.reset.abs_diff(shared_quota.reset);
            assert!(reset_difference < Duration::from_secs(1), "request {n}: {in_process_quota:?} {shared_quota:?}");
        }
    }
    assert!(shared.uses_redis());
}

#[tokio::test]
async fn two_servers_share_one_quota() {
    let redis = RedisServer::start();
    let (replica_1, replica_2) = (Replica::start(&redis).await, Replica::start(&redis).await);
    let decisions = futures::future::join_all((0..20).flat_map(|_| [replica_1.check(1), replica_2.check(1)])).await;
    assert_eq!(decisions.iter().filter(|decision| decision.retry_after.is_none()).count(), 10);
    let (decision_1, decision_2) = (replica_1.check(1).await, replica_2.check(1).await);
    assert_eq!(decision_1.quotas[0].remaining, decision_2.quotas[0].remaining);
    assert!(
        decision_1.retry_after.zip(decision_2.retry_after).is_some_and(|(a, b)| a.abs_diff(b) < Duration::from_secs(1))
    );
    assert_eq!(replica_1.count_passed(2, 12).await, 10, "each user has a separate quota");
}

#[tokio::test]
async fn a_server_whose_redis_is_killed_counts_in_process_until_redis_is_back() {
    let mut redis = RedisServer::start();
    let (replica_1, replica_2) = (Replica::start(&redis).await, Replica::start(&redis).await);
    assert_eq!(replica_1.count_passed(1, 4).await, 4);
    redis.kill();
    let start = Instant::now();
    assert_eq!(
        (replica_1.count_passed(1, 40).await, replica_2.count_passed(1, 40).await),
        (10, 10),
        "each server applies the whole quota"
    );
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!replica_1.uses_redis());
    redis.restart();
    replica_1.wait_until_redis_is_used().await;
    replica_2.wait_until_redis_is_used().await;
    assert_eq!(
        replica_1.count_passed(1, 6).await + replica_2.count_passed(1, 6).await,
        10,
        "the servers share one quota again"
    );
}

#[tokio::test]
async fn a_hanging_redis_delays_requests_only_briefly() {
    let redis = RedisServer::start();
    let replica = Replica::start(&redis).await;
    redis.suspend();
    let start = Instant::now();
    assert_eq!(replica.count_passed(1, 100).await, 10);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(!replica.uses_redis());
    redis.resume();
    replica.wait_until_redis_is_used().await;
}

#[tokio::test]
async fn a_server_starts_without_its_redis() {
    let mut redis = RedisServer::start();
    redis.kill();
    let replica = Replica::start(&redis).await;
    assert_eq!(replica.count_passed(1, 12).await, 10);
    redis.restart();
    replica.wait_until_redis_is_used().await;
    assert_eq!(replica.count_passed(1, 12).await, 10);
}

#[tokio::test]
async fn two_platforms_apply_one_quota_per_user() {
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [("PLATFORM__RATE_LIMIT__ENABLED", "true"), ("REDIS_URL", url.as_str())];
    let server_1 = TestApp::start(&settings).await;
    let server_2 = server_1.start_replica(&settings).await;
    for n in (0..10).rev() {
        let server = if n % 2 == 0 { &server_1 } else { &server_2 };
        let answer = server.as_viewer(TENANT_A).get("/v1/me").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("ratelimit").is_some_and(|state| state.contains(&format!(r#""minute";r={n};"#))), "{n}");
    }
    for server in [&server_1, &server_2] {
        let refusal = server.as_viewer(TENANT_A).get("/v1/me").await;
        refusal.expect_problem(429, "rate_limited");
        assert!(refusal.header("retry-after").is_some());
    }
}
