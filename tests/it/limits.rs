//! Rate limits and quotas of users and tenants.

use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use domain::role::Role;
use futures::StreamExt as _;
use serde_json::json;

#[tokio::test]
async fn a_viewers_eleventh_request_in_a_minute_is_refused_and_other_users_are_unaffected() {
    let app = TestApp::start(&[("PLATFORM__RATE_LIMIT__ENABLED", "true")]).await;
    let viewer = app.as_viewer(TENANT_A);
    for n in 1..=10 {
        let response = viewer.get("/v1/me").await;
        assert_eq!(response.status, 200, "request {n}: {response:?}");
        assert!(response.header("ratelimit").is_some_and(|state| state.contains(&format!("r={}", 10 - n))), "{n}");
    }
    let refusal = viewer.post("/v1/search", &json!({ "query": "one too many" })).await;
    refusal.expect_problem(429, "rate_limited");
    let retry_after_s: u64 =
        refusal.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds to wait");
    assert!((1..=60).contains(&retry_after_s), "{retry_after_s}");
    let other_token = app.as_viewer(TENANT_A).get("/v1/me").await;
    assert_eq!(other_token.status, 429, "the limit applies to the user, not to the token");
    for path in ["/health", "/ready", "/v1/health"] {
        assert_eq!(viewer.get(path).await.status, 200, "{path}");
    }
    assert_eq!(app.caller(TENANT_A, "another", Role::Viewer).get("/v1/me").await.status, 200);
    for n in 1..=30 {
        assert_eq!(app.as_user(TENANT_A).get("/v1/me").await.status, 200, "request {n} of a user");
    }
    assert_eq!(app.as_user(TENANT_A).get("/v1/me").await.status, 429);
}

#[tokio::test]
async fn health_checks_do_not_count_towards_the_limit() {
    let app = TestApp::start(&[("PLATFORM__RATE_LIMIT__ENABLED", "true")]).await;
    for _ in 0..80 {
        assert_eq!(app.as_viewer(TENANT_A).get("/health").await.status, 200);
    }
    assert_eq!(app.as_viewer(TENANT_A).get("/v1/me").await.status, 200);
}

#[tokio::test]
async fn a_tenant_far_above_its_quota_does_not_affect_another_tenant() {
    let app = TestApp::start(&[("PLATFORM__RATE_LIMIT__ENABLED", "true")]).await;
    let set_daily_quota =
        r#"UPDATE tenants SET config = '{"quotas": {"requests_per_day": 12}}' WHERE slug = 'plant-a'"#;
    assert_eq!(SuperuserDb::connect(&app).await.execute(set_daily_quota, &[]).await, 1);
    let users: Vec<_> = (0..8).map(|n| app.caller(TENANT_A, &format!("busy-{n}"), Role::User)).collect();
    let requests = (0..240).map(|n| users[n % users.len()].get("/v1/me"));
    // Fewer concurrent requests than the server accepts, so that only the quota refuses requests.
    let responses: Vec<_> = futures::stream::iter(requests).buffer_unordered(40).collect().await;
    let served_count = responses.iter().filter(|response| response.status == 200).count();
    assert_eq!(served_count, 12);
    for refusal in responses.iter().filter(|response| response.status != 200) {
        refusal.expect_problem(429, "rate_limited");
        assert!(refusal.header("ratelimit").is_some_and(|state| state.contains(r#""tenant-day";r=0;"#)), "{refusal:?}");
    }
    for n in 0..10 {
        assert_eq!(
            app.caller(TENANT_B, "other-tenant", Role::User).get("/v1/me").await.status,
            200,
            "request {n} of the other tenant"
        );
    }
}
