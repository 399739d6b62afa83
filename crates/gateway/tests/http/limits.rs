//! Rate limits per user and per peer address, and the routes that are not rate limited.

use crate::support::*;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use domain::command::ReadAccount;
use domain::role::Role;
use gateway::GatewaySettings;
use policy::gate::MockGate;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn gate(role: Role) -> MockGate {
    let mut gate = gate_for(role);
    gate.on::<ReadAccount>(move |_, _| Ok(account(role)));
    gate
}

#[tokio::test]
async fn a_viewer_has_a_burst_of_ten_requests() {
    let router = router(gate(Role::Viewer), GatewaySettings::default());
    for remaining in (0..10).rev() {
        let reply = send(&router, get("/v1/me")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("ratelimit-policy"), Some(r#""minute";q=10;w=60, "hour";q=50;w=3600"#));
        let state = reply.header("ratelimit").unwrap_or_default();
        assert!(state.starts_with(&format!(r#""minute";r={remaining};t="#)), "{state}");
    }
    let refused = send(&router, get("/v1/me")).await;
    assert_eq!(refused.problem(), (429, "rate_limited".into(), None));
    let wait: u64 = refused.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=6).contains(&wait), "{wait}");
    let state = refused.header("ratelimit").unwrap_or_default();
    assert!(state.starts_with(&format!(r#""minute";r=0;t={wait}, "hour";r=40;"#)), "{state}");
    for path in ["/health", "/ready", "/openapi.json", "/docs/"] {
        let reply = send(&router, get(path)).await;
        assert_eq!((reply.status.as_u16(), reply.header("ratelimit")), (200, None), "{path}");
    }
}

#[tokio::test]
async fn error_responses_count_and_have_the_rate_limit_headers() {
    let router = router(gate(Role::Admin), GatewaySettings::default());
    let reply = send(&router, json_request("POST", "/v1/search", "{")).await;
    assert_eq!(reply.status, 400);
    assert!(reply.header("ratelimit").is_some_and(|state| state.starts_with(r#""minute";r=59;"#)));
}

#[tokio::test]
async fn without_rate_limits_no_request_is_counted() {
    let router = router(gate(Role::Viewer), settings());
    for _ in 0..20 {
        let reply = send(&router, get("/v1/me")).await;
        assert_eq!((reply.status.as_u16(), reply.header("ratelimit")), (200, None));
    }
}

#[tokio::test]
async fn a_peer_is_limited_before_authentication() {
    let mut gate = MockGate::new();
    let authentications = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&authentications);
    gate.on_authenticate(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(caller(Role::Admin))
    });
    gate.on::<ReadAccount>(|_, _| Ok(account(Role::Admin)));
    let settings = GatewaySettings { peer_requests_per_second: 1, peer_burst: 2, ..GatewaySettings::default() };
    let router = router(gate, settings);
    let request_from_peer = |path| -> Request<Body> {
        let mut request = get(path);
        let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    };
    for _ in 0..2 {
        assert_eq!(send(&router, request_from_peer("/v1/me")).await.status, 200);
    }
    assert_eq!(send(&router, request_from_peer("/v1/me")).await.problem(), (429, "rate_limited".into(), None));
    assert_eq!(authentications.load(Ordering::Relaxed), 2);
    assert_eq!(send(&router, request_from_peer("/health")).await.status, 200);
}
