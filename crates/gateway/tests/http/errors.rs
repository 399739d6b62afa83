//! Every answer that is no success: its status, its problem document, its headers.

use crate::support::*;
use axum::body::Body;
use axum::http::Request;
use domain::command::{GetConversation, GetDocument};
use domain::decision::RefusalCode;
use domain::ports::StoreError;
use domain::role::Role;
use policy::error::GateError;
use policy::gate::MockGate;
use runtime::error::RuntimeError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn failing(error: fn() -> GateError) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<GetConversation>(move |_, _| Err(error()));
    gate
}

const ONE: &str = "/v1/conversations/00000000-0000-0000-0000-00000000f003";

#[tokio::test]
async fn a_refusal_by_the_gate_has_its_status_and_code() {
    for (error, status, code) in [
        ((|| GateError::NotFound) as fn() -> GateError, 404, "not_found"),
        (|| GateError::Denied { reason: RefusalCode::Matrix, decision: None }, 403, "policy_denied"),
        (|| GateError::Refused { code: RefusalCode::TenantSuspended, decision: None }, 403, "tenant_suspended"),
        (|| RuntimeError::Conflict { detail: "Busy." }.into(), 409, "conflict"),
        (|| RuntimeError::Busy.into(), 503, "unavailable"),
    ] {
        let reply = send(&router(failing(error), settings()), get(ONE)).await;
        assert_eq!(reply.problem(), (status, code.into(), None));
        assert_eq!(reply.header("retry-after").is_some(), status == 503);
    }
}

#[tokio::test]
async fn a_problem_says_what_where_and_which_request() {
    let request = with(get(&format!("{ONE}?x=1")), "x-request-id", "abc-1");
    let reply = send(&router(failing(|| GateError::NotFound), settings()), get(ONE)).await;
    assert_eq!(reply.header("x-request-id"), Some("00000000-0000-0000-0000-000000000001"));
    let reply = send(&router(failing(|| GateError::NotFound), settings()), request).await;
    insta::assert_snapshot!(reply.text);
}

#[tokio::test]
async fn an_outage_tells_nothing_of_its_inside() {
    let down = || {
        GateError::Audit(StoreError::Unavailable {
            doing: "beginning",
            source: "connection to 10.0.0.7 as platform_app refused".into(),
        })
    };
    let reply = send(&router(failing(down), settings()), get(ONE)).await;
    assert_eq!(reply.problem(), (503, "audit_unavailable".into(), None));
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert!(!reply.text.contains("10.0.0.7") && !reply.text.contains("platform_app"), "{}", reply.text);
}

#[tokio::test]
async fn a_bad_token_and_no_token_read_alike_but_for_the_challenge() {
    let refusing = || {
        let mut gate = MockGate::new();
        gate.on_login(|token, _| {
            Err(GateError::Unauthenticated { reason: if token.is_some() { "expired" } else { "none" } })
        });
        gate
    };
    let router = router(refusing(), settings());
    let with_token = send(&router, with(get("/v1/me"), "x-request-id", "r")).await;
    assert_eq!(with_token.problem(), (401, "invalid_token".into(), None));
    assert_eq!(with_token.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    let none = Request::builder().uri("/v1/me").header("x-request-id", "r");
    let none = send(&router, none.body(Body::empty()).expect("a request")).await;
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    assert_eq!(none.text, with_token.text);
    assert!(!none.text.contains("expired"));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_by_its_kind() {
    let router = router(gate_for(Role::User), settings());
    let path = "/v1/conversations";
    let plain = with(bare("POST", path, Body::from("{}")), "content-type", "text/plain");
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for (request, status, pointer) in [
        (json("POST", path, "{"), 400, None),
        (json("POST", path, ""), 400, None),
        (json("POST", path, "\u{feff}{}"), 400, None),
        (json("POST", path, r#"{"title":"\ud800"}"#), 400, None),
        (json("POST", path, &deep), 400, None),
        (plain, 415, None),
        (bare("POST", path, Body::from("{}")), 415, None),
        (json("POST", path, &large), 413, None),
        (json("POST", path, "[]"), 422, Some("")),
        (json("POST", path, r#"{"titel":"x"}"#), 422, Some("/titel")),
        (json("POST", path, r#"{"title":""}"#), 422, Some("/title")),
        (json("POST", path, r#"{"metadata":[1]}"#), 422, Some("/metadata")),
        (json("POST", path, r#"{"metadata":{"a":["\u0000"]}}"#), 422, Some("/metadata/a/0")),
        (json("POST", "/v1/search", r#"{"query":"x","top_k":51}"#), 422, Some("/top_k")),
        (json("POST", "/v1/search", r#"{"query":"x","filters":[]}"#), 422, Some("/filters")),
        (json("POST", "/v1/search", r#"{"query":"x","filters":{"tag":"x"}}"#), 422, Some("/filters/tag")),
        (json("POST", "/v1/search", r#"{}"#), 422, Some("")),
        (json("POST", "/v1/memories", r#"{"content":"x","importance":2}"#), 422, Some("/importance")),
        (json("POST", "/v1/admin/tenants", r#"{"name":"x","slug":"-x"}"#), 422, Some("/slug")),
        (json("PATCH", "/v1/admin/users/x", r#"{"role":"root"}"#), 422, Some("/role")),
        (get("/v1/documents?limit=0"), 422, Some("/limit")),
        (get("/v1/documents?limit=x"), 422, Some("/limit")),
        (get("/v1/documents?cursor=x"), 422, Some("/cursor")),
        (get("/v1/documents?status=lost"), 422, Some("/status")),
        (get("/v1/documents?tag=%00"), 422, Some("/tag")),
        (get("/v1/documents?colour=red"), 422, Some("/colour")),
        (get("/v1/audit?from=yesterday"), 422, Some("/from")),
        (get("/v1/audit?user_id=x"), 422, Some("/user_id")),
    ] {
        let asked = format!("{} {}", request.method(), request.uri());
        let reply = send(&router, request).await;
        let problem = reply.problem();
        assert_eq!((problem.0, problem.2.as_deref()), (status, pointer), "{asked}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_looked_up_like_one_that_is_not_there() {
    let mut gate = gate_for(Role::User);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    gate.on::<GetDocument>(move |_, command| {
        assert_eq!(command.id.as_uuid(), uuid::Uuid::max());
        counted.fetch_add(1, Ordering::Relaxed);
        Err(GateError::NotFound)
    });
    let router = router(gate, settings());
    for path in ["/v1/documents/x", "/v1/documents/%ff"] {
        assert_eq!(send(&router, get(path)).await.problem(), (404, "not_found".into(), None));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2, "the gate decides about an invalid id too");
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems_too() {
    let router = router(gate_for(Role::User), settings());
    assert_eq!(send(&router, get("/v2/x")).await.problem(), (404, "not_found".into(), None));
    let reply = send(&router, bare("DELETE", "/v1/search", Body::empty())).await;
    assert_eq!(reply.problem(), (405, "method_not_allowed".into(), None));
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = send(&router, get("/problems/rate-limited")).await;
    assert_eq!(reply.text.lines().next(), Some("429 Too many requests"));
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_router_lives() {
    let mut gate = gate_for(Role::User);
    gate.on::<GetConversation>(|_, _| panic!("secret"));
    let router = router(gate, settings());
    let reply = send(&router, get(ONE)).await;
    assert_eq!(reply.problem(), (500, "internal".into(), None));
    assert!(!reply.text.contains("secret"));
    assert_eq!(send(&router, get("/health")).await.status, 200);
}

#[tokio::test]
async fn a_request_id_that_could_break_a_log_line_is_replaced() {
    let router = router(MockGate::new(), settings());
    for (given, echoed) in [("a.b-1", true), ("a b", false), (&*"x".repeat(65), false)] {
        let reply = send(&router, with(get("/health"), "x-request-id", given)).await;
        assert_eq!(reply.header("x-request-id") == Some(given), echoed, "{given}");
        assert!(reply.header("x-request-id").is_some());
    }
}
