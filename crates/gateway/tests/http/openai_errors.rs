//! Errors of the OpenAI-compatible API: always in OpenAI's format, including errors that middleware returns.

use crate::support::*;
use axum::body::Body;
use axum::http::Request;
use domain::budget::BudgetLimit;
use domain::command::{AskAssistant, AskModel, ListModels, ListTeams};
use domain::decision::RefusalCode;
use domain::page::Page;
use domain::role::Role;
use gateway::GatewaySettings;
use policy::error::GateError;
use policy::gate::MockGate;
use runtime::error::RuntimeError;
use serde_json::{Value, json};
use std::time::Duration;

const CHAT: &str = "/openai/v1/chat/completions";
const EMBED: &str = "/openai/v1/embeddings";

/// An error in OpenAI's format.
struct OpenAiError {
    status: u16,
    kind: String,
    code: String,
    param: Option<String>,
}

/// Parses an error response, and checks the headers and fields that every error has.
fn parse_error(reply: &Reply) -> OpenAiError {
    assert_eq!(reply.header("content-type"), Some("application/json"), "{}", reply.text);
    assert!(reply.header("x-request-id").is_some());
    let body = reply.json();
    assert_eq!(body.as_object().map(|fields| fields.len()), Some(1), "{body}");
    let error = &body["error"];
    let text = |name: &str| error[name].as_str().expect("a text").to_owned();
    assert!(text("message").len() > 10, "{body}");
    assert!(error.as_object().expect("an object").contains_key("param"), "{body}");
    let param = error["param"].as_str().map(str::to_owned);
    OpenAiError { status: reply.status.as_u16(), kind: text("type"), code: text("code"), param }
}

fn gate_with_error(error: fn() -> GateError) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<AskAssistant>(move |_, _| Err(error()));
    gate
}

fn post_hello() -> Request<Body> {
    json_request("POST", CHAT, r#"{"model":"auto","messages":[{"role":"user","content":"Hi"}]}"#)
}

#[tokio::test]
async fn gate_errors_have_openais_status_and_codes() {
    let out_of_tokens = || {
        let (limit, retry_after) = (BudgetLimit::TenantTokens, Duration::from_secs(90));
        RuntimeError::BudgetExceeded { limit, retry_after, is_reserved: false }.into()
    };
    for (error, status, kind, code) in [
        ((|| GateError::NotFound) as fn() -> GateError, 404, "invalid_request_error", "not_found"),
        (
            || GateError::OperationDenied { reason: RefusalCode::InsufficientRights, decision_id: None },
            403,
            "permission_error",
            "policy_denied",
        ),
        (|| RuntimeError::AboveModelClassification.into(), 403, "permission_error", "model_classification"),
        (|| RuntimeError::ModelNotFound.into(), 404, "invalid_request_error", "model_not_found"),
        (|| RuntimeError::Conflict { detail: "Not possible now." }.into(), 409, "invalid_request_error", "conflict"),
        (|| RuntimeError::Busy.into(), 503, "server_error", "unavailable"),
        (out_of_tokens, 429, "insufficient_quota", "insufficient_quota"),
    ] {
        let reply = send(&router(gate_with_error(error), settings()), post_hello()).await;
        let error = parse_error(&reply);
        assert_eq!((error.status, error.kind.as_str(), error.code.as_str()), (status, kind, code), "{}", reply.text);
        assert_eq!(reply.header("retry-after").is_some(), [429, 503].contains(&status), "{}", reply.text);
        assert_eq!(reply.header("x-should-retry"), (status == 409).then_some("false"));
    }
}

#[tokio::test]
async fn errors_of_middleware_have_the_same_format() {
    let mut gate = MockGate::new();
    gate.on_authenticate(|_, _| Err(GateError::Unauthenticated { reason: "expired" }));
    let reply = send(&router(gate, settings()), post_hello()).await;
    let error = parse_error(&reply);
    assert_eq!(
        (error.status, error.kind.as_str(), error.code.as_str()),
        (401, "authentication_error", "invalid_api_key")
    );
    assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));

    let router = router(gate_for(Role::User), settings());
    let large = format!(r#"{{"model":"auto","x":"{}"}}"#, "x".repeat(1 << 20));
    let plain = with_header(request("POST", CHAT, Body::from("{}")), "content-type", "text/plain");
    for (request, status, code) in [
        (get("/openai/v1"), 404, "not_found"),
        (get("/openai/v1/files"), 404, "not_found"),
        (get(CHAT), 405, "method_not_allowed"),
        (json_request("POST", CHAT, &large), 413, "payload_too_large"),
        (plain, 415, "unsupported_media"),
        (json_request("POST", CHAT, "{"), 400, "malformed"),
        (get("/openai/v1/models/gpt-4o"), 404, "model_not_found"),
    ] {
        let target = format!("{} {}", request.method(), request.uri());
        let error = parse_error(&send(&router, request).await);
        assert_eq!((error.status, error.code.as_str()), (status, code), "{target}");
    }
    let no_capacity = GatewaySettings { max_in_flight: 0, ..settings() };
    let reply = send(
        &router_with_readiness(MockGate::new(), no_capacity, std::sync::Arc::new(gateway::AlwaysReady)),
        post_hello(),
    )
    .await;
    assert_eq!((parse_error(&reply).status, reply.header("retry-after")), (503, Some("1")));
    // Other paths still have problem documents.
    assert_eq!(send(&router, get("/v1/files")).await.problem().0, 404);
}

#[tokio::test]
async fn a_panic_reveals_no_internals() {
    let mut gate = gate_for(Role::User);
    gate.on::<AskAssistant>(|_, _| panic!("secret words"));
    let reply = send(&router(gate, settings()), post_hello()).await;
    let error = parse_error(&reply);
    assert_eq!((error.status, error.kind.as_str()), (500, "server_error"));
    assert!(!reply.text.contains("secret"), "{}", reply.text);
}

#[tokio::test]
async fn rate_limited_requests_have_retry_after() {
    let mut gate = gate_for(Role::Viewer);
    gate.on::<ListModels>(|_, _| Ok(Vec::new()));
    gate.on::<ListTeams>(|_, _| Ok(Page { items: Vec::new(), next: None }));
    let router = router(gate, GatewaySettings { rate_limit_enabled: true, peer_requests_per_second: 0, ..settings() });
    for _ in 0..10_000 {
        let reply = send(&router, get("/openai/v1/models")).await;
        if reply.status == 200 {
            continue;
        }
        let error = parse_error(&reply);
        assert_eq!(
            (error.status, error.kind.as_str(), error.code.as_str()),
            (429, "rate_limit_error", "rate_limit_exceeded")
        );
        assert!(reply.header("retry-after").is_some());
        return;
    }
    panic!("no request was rate limited");
}

#[tokio::test]
async fn a_validation_error_names_the_invalid_field() {
    let router = router(gate_for(Role::User), settings());
    let user = json!([{ "role": "user", "content": "Hi" }]);
    let chat = |fields: Value| {
        let mut body = json!({ "model": "auto", "messages": user });
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        body
    };
    let chat_with_message = |message: Value| chat(json!({ "messages": [message] }));
    let chat_with_tool = |function: Value| chat(json!({ "tools": [{ "type": "function", "function": function }] }));
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } });
    for (body, param, code) in [
        (chat(json!({ "messages": [] })), "messages", "validation"),
        (chat(json!({ "messages": "Hi" })), "messages", "validation"),
        (chat_with_message(json!({ "role": "robot", "content": "x" })), "messages[0].role", "validation"),
        (chat_with_message(json!({ "role": "user" })), "messages[0].content", "validation"),
        (chat_with_message(json!({ "role": "user", "content": 7 })), "messages[0].content", "validation"),
        (chat_with_message(json!({ "role": "user", "content": " " })), "messages[0].content", "validation"),
        (chat_with_message(json!({ "role": "user", "content": "a\u{0}" })), "messages[0].content", "validation"),
        (
            chat_with_message(json!({ "role": "user", "content": [image] })),
            "messages[0].content[0].type",
            "unsupported_content",
        ),
        (chat_with_message(json!({ "role": "tool", "content": "x" })), "messages[0].tool_call_id", "validation"),
        (chat_with_message(json!({ "role": "assistant", "content": "x" })), "messages[0].role", "validation"),
        (
            chat_with_message(json!({ "role": "user", "content": "x".repeat(32_001) })),
            "messages[0].content",
            "validation",
        ),
        (chat(json!({ "temperature": 2.5 })), "temperature", "validation"),
        (chat(json!({ "top_p": -1 })), "top_p", "validation"),
        (chat(json!({ "n": 2 })), "n", "validation"),
        (chat(json!({ "max_tokens": 0 })), "max_tokens", "validation"),
        (chat(json!({ "max_completion_tokens": 0 })), "max_completion_tokens", "validation"),
        (chat(json!({ "stop": ["a", "b", "c", "d", "e"] })), "stop", "validation"),
        (chat(json!({ "response_format": { "type": "xml" } })), "response_format.type", "validation"),
        (chat(json!({ "document_ids": ["x"] })), "document_ids[0]", "validation"),
        (chat(json!({ "tags": [""] })), "tags[0]", "validation"),
        (chat_with_tool(json!({ "name": "no spaces" })), "tools[0].function.name", "validation"),
        (chat_with_tool(json!({ "name": "f", "parameters": [] })), "tools[0].function.parameters", "validation"),
        (chat(json!({ "model": "fast-direct", "retrieval": "always" })), "retrieval", "validation"),
        (chat(json!({ "model": "fast-direct", "tool_choice": "required" })), "tool_choice", "validation"),
    ] {
        let reply = send(&router, json_request("POST", CHAT, &body.to_string())).await;
        let error = parse_error(&reply);
        assert_eq!(
            (error.status, error.code.as_str(), error.param.as_deref()),
            (400, code, Some(param)),
            "{body}: {}",
            reply.text
        );
    }
    for model in ["gpt-4o", "embed"] {
        let body = chat(json!({ "model": model }));
        let error = parse_error(&send(&router, json_request("POST", CHAT, &body.to_string())).await);
        let found = (error.status, error.code.as_str(), error.param.as_deref());
        assert_eq!(found, (404, "model_not_found", Some("model")), "{body}");
    }
}

#[tokio::test]
async fn a_validation_error_names_the_invalid_embedding_field() {
    let router = router(gate_for(Role::User), settings());
    for (body, param) in [
        (json!({ "model": "embed", "input": [[1, 100_256]] }), "input[0]"),
        (json!({ "model": "embed", "input": [] }), "input"),
        (json!({ "model": "embed", "input": "a", "encoding_format": "hex" }), "encoding_format"),
        (json!({ "model": "embed", "input": vec!["a"; 257] }), "input"),
    ] {
        let error = parse_error(&send(&router, json_request("POST", EMBED, &body.to_string())).await);
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{body}");
    }
}

#[tokio::test]
async fn client_schemas_are_limited_in_depth_and_size() {
    let nested =
        |depth: usize| (0..depth).fold(r#"{"type":"string"}"#.to_owned(), |inner, _| format!(r#"{{"not":{inner}}}"#));
    let wide = format!(r#"{{"enum":[{}]}}"#, vec!["1"; 3_000].join(","));
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(40_000));
    let tool = |parameters: &str| {
        format!(r#"{{"type":"function","function":{{"name":"f","description":"d","parameters":{parameters}}}}}"#)
    };
    let post = |fields: String| {
        json_request(
            "POST",
            CHAT,
            &format!(r#"{{"model":"fast-direct","messages":[{{"role":"user","content":"x"}}],{fields}}}"#),
        )
    };
    let response_format = |schema: &str| {
        format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{schema}}}}}"#)
    };
    let many_tools = vec![tool(&format!(r#"{{"description":"{}"}}"#, "x".repeat(20_000))); 20].join(",");
    let long_description = tool("{}").replace(r#""d""#, &format!(r#""{}""#, "x".repeat(9_000)));
    let mut gate = gate_for(Role::User);
    gate.on::<AskModel>(|_, _| Err(GateError::NotFound));
    let router = router(gate, settings());
    for schema in [nested(40), wide, long] {
        for request in [post(response_format(&schema)), post(format!(r#""tools":[{}]"#, tool(&schema)))] {
            let error = parse_error(&send(&router, request).await);
            assert_eq!((error.status, error.kind.as_str()), (400, "invalid_request_error"), "{}", &schema[..60]);
        }
    }
    for tools in [many_tools, long_description] {
        let error = parse_error(&send(&router, post(format!(r#""tools":[{tools}]"#))).await);
        assert_eq!((error.status, error.kind.as_str()), (400, "invalid_request_error"));
    }
    for fields in [response_format(&nested(8)), format!(r#""tools":[{}]"#, tool(&nested(8)))] {
        assert_eq!(parse_error(&send(&router, post(fields)).await).status, 404, "the request reaches the gate");
    }
}
