//! Error responses: status, problem document and headers.

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

fn gate_with_error(error: fn() -> GateError) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<GetConversation>(move |_, _| Err(error()));
    gate
}

const CONVERSATION: &str = "/v1/conversations/00000000-0000-0000-0000-00000000f003";

#[tokio::test]
async fn gate_errors_have_the_documented_status_and_code() {
    for (error, status, code) in [
        ((|| GateError::NotFound) as fn() -> GateError, 404, "not_found"),
        (
            || GateError::OperationDenied { reason: RefusalCode::InsufficientRights, decision_id: None },
            403,
            "policy_denied",
        ),
        (
            || GateError::CallerRefused { code: RefusalCode::TenantSuspended, decision_id: None },
            403,
            "tenant_suspended",
        ),
        (|| RuntimeError::Conflict { detail: "Busy." }.into(), 409, "conflict"),
        (|| RuntimeError::Busy.into(), 503, "unavailable"),
    ] {
        let reply = send(&router(gate_with_error(error), settings()), get(CONVERSATION)).await;
        assert_eq!(reply.problem(), (status, code.into(), None));
        assert_eq!(reply.header("retry-after").is_some(), status == 503);
    }
}

#[tokio::test]
async fn a_problem_document_has_path_and_request_id() {
    let request = with_header(get(&format!("{CONVERSATION}?branches=all")), "x-request-id", "abc-1");
    let reply = send(&router(gate_with_error(|| GateError::NotFound), settings()), get(CONVERSATION)).await;
    assert_eq!(reply.header("x-request-id"), Some("00000000-0000-0000-0000-000000000001"));
    let reply = send(&router(gate_with_error(|| GateError::NotFound), settings()), request).await;
    insta::assert_snapshot!(reply.text);
}

#[tokio::test]
async fn an_outage_reveals_no_internals() {
    let database_down = || {
        GateError::Audit(StoreError::Unavailable {
            activity: "beginning",
            source: "connection to 10.0.0.7 as platform_app refused".into(),
        })
    };
    let reply = send(&router(gate_with_error(database_down), settings()), get(CONVERSATION)).await;
    assert_eq!(reply.problem(), (503, "audit_unavailable".into(), None));
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert!(!reply.text.contains("10.0.0.7") && !reply.text.contains("platform_app"), "{}", reply.text);
}

#[tokio::test]
async fn an_invalid_and_a_missing_token_differ_only_in_the_challenge() {
    let mut gate = MockGate::new();
    gate.on_authenticate(|token, _| {
        Err(GateError::Unauthenticated { reason: if token.is_some() { "expired" } else { "none" } })
    });
    let router = router(gate, settings());
    let with_token = send(&router, with_header(get("/v1/me"), "x-request-id", "r")).await;
    assert_eq!(with_token.problem(), (401, "invalid_token".into(), None));
    assert_eq!(with_token.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    let without_token = Request::builder().uri("/v1/me").header("x-request-id", "r");
    let without_token = send(&router, without_token.body(Body::empty()).expect("a request")).await;
    assert_eq!(without_token.header("www-authenticate"), Some("Bearer"));
    assert_eq!(without_token.text, with_token.text);
    assert!(!without_token.text.contains("expired"));
}

#[tokio::test]
async fn invalid_bodies_and_parameters_are_refused() {
    let router = router(gate_for(Role::User), settings());
    let path = "/v1/conversations";
    let plain = with_header(request("POST", path, Body::from("{}")), "content-type", "text/plain");
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for (request, status, pointer) in [
        (json_request("POST", path, "{"), 400, None),
        (json_request("POST", path, ""), 400, None),
        (json_request("POST", path, "\u{feff}{}"), 400, None),
        (json_request("POST", path, r#"{"title":"\ud800"}"#), 400, None),
        (json_request("POST", path, &deep), 400, None),
        (plain, 415, None),
        (request("POST", path, Body::from("{}")), 415, None),
        (json_request("POST", path, &large), 413, None),
        (json_request("POST", path, "[]"), 422, Some("")),
        (json_request("POST", path, r#"{"titel":"x"}"#), 422, Some("/titel")),
        (json_request("POST", path, r#"{"title":""}"#), 422, Some("/title")),
        (json_request("POST", path, r#"{"metadata":[1]}"#), 422, Some("/metadata")),
        (json_request("POST", path, r#"{"metadata":{"a":["\u0000"]}}"#), 422, Some("/metadata/a/0")),
        (json_request("POST", "/v1/search", r#"{"query":"x","top_k":51}"#), 422, Some("/top_k")),
        (json_request("POST", "/v1/search", r#"{"query":"x","filters":[]}"#), 422, Some("/filters")),
        (json_request("POST", "/v1/search", r#"{"query":"x","filters":{"tag":"x"}}"#), 422, Some("/filters/tag")),
        (json_request("POST", "/v1/search", r#"{}"#), 422, Some("")),
        (json_request("POST", "/v1/memories", r#"{"content":"x","importance":2}"#), 422, Some("/importance")),
        (json_request("POST", "/v1/admin/tenants", r#"{"name":"x","slug":"-x"}"#), 422, Some("/slug")),
        (json_request("PATCH", "/v1/admin/users/x", r#"{"role":"root"}"#), 422, Some("/role")),
        (get("/v1/documents?limit=0"), 422, Some("/limit")),
        (get("/v1/documents?limit=x"), 422, Some("/limit")),
        (get("/v1/documents?cursor=x"), 422, Some("/cursor")),
        (get("/v1/documents?status=lost"), 422, Some("/status")),
        (get("/v1/documents?tag=%00"), 422, Some("/tag")),
        (get("/v1/documents?colour=red"), 422, Some("/colour")),
        (get("/v1/audit?from=yesterday"), 422, Some("/from")),
        (get("/v1/audit?user_id=x"), 422, Some("/user_id")),
    ] {
        let target = format!("{} {}", request.method(), request.uri());
        let reply = send(&router, request).await;
        let problem = reply.problem();
        assert_eq!((problem.0, problem.2.as_deref()), (status, pointer), "{target}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_invalid_id_is_looked_up_like_an_unknown_one() {
    let mut gate = gate_for(Role::User);
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    gate.on::<GetDocument>(move |_, command| {
        assert_eq!(command.id.as_uuid(), uuid::Uuid::max());
        counter.fetch_add(1, Ordering::Relaxed);
        Err(GateError::NotFound)
    });
    let router = router(gate, settings());
    for path in ["/v1/documents/x", "/v1/documents/%ff"] {
        assert_eq!(send(&router, get(path)).await.problem(), (404, "not_found".into(), None));
    }
    assert_eq!(lookups.load(Ordering::Relaxed), 2, "an invalid id reaches the gate");
}

#[tokio::test]
async fn unknown_paths_and_methods_return_problem_documents() {
    let router = router(gate_for(Role::User), settings());
    assert_eq!(send(&router, get("/v2/x")).await.problem(), (404, "not_found".into(), None));
    let reply = send(&router, request("DELETE", "/v1/search", Body::empty())).await;
    assert_eq!(reply.problem(), (405, "method_not_allowed".into(), None));
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = send(&router, get("/problems/rate-limited")).await;
    assert_eq!(reply.text.lines().next(), Some("429 Too many requests"));
}

#[tokio::test]
async fn a_panic_returns_a_500_and_the_router_keeps_serving() {
    let mut gate = gate_for(Role::User);
    gate.on::<GetConversation>(|_, _| panic!("secret"));
    let router = router(gate, settings());
    let reply = send(&router, get(CONVERSATION)).await;
    assert_eq!(reply.problem(), (500, "internal".into(), None));
    assert!(!reply.text.contains("secret"));
    assert_eq!(send(&router, get("/health")).await.status, 200);
}

#[tokio::test]
async fn an_unsafe_request_id_is_replaced() {
    let router = router(MockGate::new(), settings());
    for (request_id, is_echoed) in [("a.b-1", true), ("a b", false), (&*"x".repeat(65), false)] {
        let reply = send(&router, with_header(get("/health"), "x-request-id", request_id)).await;
        assert_eq!(reply.header("x-request-id") == Some(request_id), is_echoed, "{request_id}");
        assert!(reply.header("x-request-id").is_some());
    }
}
