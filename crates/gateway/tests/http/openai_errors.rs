//! Failures of the OpenAI-compatible surface: always in OpenAI's shape, whoever answers.

use crate::support::*;
use axum::body::Body;
use axum::http::Request;
use domain::budget::BudgetLimit;
use domain::command::{AskAssistant, AskModel, ListModels};
use domain::decision::RefusalCode;
use domain::role::Role;
use gateway::GatewaySettings;
use policy::error::GateError;
use policy::gate::MockGate;
use runtime::error::RuntimeError;
use serde_json::{Value, json};
use std::time::Duration;

const CHAT: &str = "/openai/v1/chat/completions";
const EMBED: &str = "/openai/v1/embeddings";

/// Status, type, code and param of a failure in OpenAI's shape; fails for any other.
fn failure(reply: &Reply) -> (u16, String, String, Option<String>) {
    assert_eq!(reply.header("content-type"), Some("application/json"), "{}", reply.text);
    assert!(reply.header("x-request-id").is_some());
    let body = reply.json();
    assert_eq!(body.as_object().map(|fields| fields.len()), Some(1), "{body}");
    let error = &body["error"];
    let text = |name: &str| error[name].as_str().expect("a text").to_owned();
    assert!(text("message").len() > 10, "{body}");
    assert!(error.as_object().expect("an object").contains_key("param"), "{body}");
    (reply.status.as_u16(), text("type"), text("code"), error["param"].as_str().map(str::to_owned))
}

fn refusing(error: fn() -> GateError) -> MockGate {
    let mut models = gate_for(Role::User);
    models.on::<AskAssistant>(move |_, _| Err(error()));
    models
}

fn hello() -> Request<Body> {
    json("POST", CHAT, r#"{"model":"auto","messages":[{"role":"user","content":"Hi"}]}"#)
}

#[tokio::test]
async fn what_the_gate_refuses_has_the_status_and_words_of_openai() {
    let in_a_while = || {
        let (limit, retry_after) = (BudgetLimit::TenantTokens, Duration::from_secs(90));
        RuntimeError::BudgetExceeded { limit, retry_after }.into()
    };
    for (error, status, kind, code) in [
        ((|| GateError::NotFound) as fn() -> GateError, 404, "invalid_request_error", "not_found"),
        (
            || GateError::Denied { reason: RefusalCode::Matrix, decision: None },
            403,
            "permission_error",
            "policy_denied",
        ),
        (|| RuntimeError::AboveModelClassification.into(), 403, "permission_error", "model_classification"),
        (|| RuntimeError::ModelNotFound.into(), 404, "invalid_request_error", "model_not_found"),
        (|| RuntimeError::Conflict { detail: "Not possible now." }.into(), 409, "invalid_request_error", "conflict"),
        (|| RuntimeError::Busy.into(), 503, "server_error", "unavailable"),
        (in_a_while, 429, "insufficient_quota", "insufficient_quota"),
    ] {
        let reply = send(&router(refusing(error), settings()), hello()).await;
        let told = failure(&reply);
        assert_eq!((told.0, told.1.as_str(), told.2.as_str()), (status, kind, code), "{}", reply.text);
        assert_eq!(reply.header("retry-after").is_some(), [429, 503].contains(&status), "{}", reply.text);
        assert_eq!(reply.header("x-should-retry"), (status == 409).then_some("false"));
    }
}

#[tokio::test]
async fn layers_around_the_routes_answer_in_the_same_shape() {
    let mut gate = MockGate::new();
    gate.on_login(|_, _| Err(GateError::Unauthenticated { reason: "expired" }));
    let reply = send(&router(gate, settings()), hello()).await;
    let told = failure(&reply);
    assert_eq!((told.0, told.1.as_str(), told.2.as_str()), (401, "authentication_error", "invalid_api_key"));
    assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));

    let router = router(gate_for(Role::User), settings());
    let large = format!(r#"{{"model":"auto","x":"{}"}}"#, "x".repeat(1 << 20));
    let plain = with(bare("POST", CHAT, Body::from("{}")), "content-type", "text/plain");
    for (request, status, code) in [
        (get("/openai/v1"), 404, "not_found"),
        (get("/openai/v1/files"), 404, "not_found"),
        (get(CHAT), 405, "method_not_allowed"),
        (json("POST", CHAT, &large), 413, "payload_too_large"),
        (plain, 415, "unsupported_media"),
        (json("POST", CHAT, "{"), 400, "malformed"),
        (get("/openai/v1/models/gpt-4o"), 404, "model_not_found"),
    ] {
        let asked = format!("{} {}", request.method(), request.uri());
        let told = failure(&send(&router, request).await);
        assert_eq!((told.0, told.2.as_str()), (status, code), "{asked}");
    }
    let full = GatewaySettings { max_in_flight: 0, ..settings() };
    let reply = send(&router_with(MockGate::new(), full, std::sync::Arc::new(gateway::AlwaysReady)), hello()).await;
    assert_eq!((failure(&reply).0, reply.header("retry-after")), (503, Some("1")));
    // Elsewhere nothing has changed.
    assert_eq!(send(&router, get("/v1/files")).await.problem().0, 404);
}

#[tokio::test]
async fn a_defect_of_ours_is_told_without_its_words() {
    let mut models = gate_for(Role::User);
    models.on::<AskAssistant>(|_, _| panic!("secret words"));
    let reply = send(&router(models, settings()), hello()).await;
    let told = failure(&reply);
    assert_eq!((told.0, told.1.as_str()), (500, "server_error"));
    assert!(!reply.text.contains("secret"), "{}", reply.text);
}

#[tokio::test]
async fn more_requests_than_the_limit_are_told_when_to_come_back() {
    let mut gate = gate_for(Role::Viewer);
    gate.on::<ListModels>(|_, _| Ok(Vec::new()));
    let router = router(gate, GatewaySettings { rate_limit_enabled: true, peer_per_second: 0, ..settings() });
    for _ in 0..10_000 {
        let reply = send(&router, get("/openai/v1/models")).await;
        if reply.status == 200 {
            continue;
        }
        let told = failure(&reply);
        assert_eq!((told.0, told.1.as_str(), told.2.as_str()), (429, "rate_limit_error", "rate_limit_exceeded"));
        assert!(reply.header("retry-after").is_some());
        return;
    }
    panic!("there is no limit");
}

#[tokio::test]
async fn a_field_that_is_not_allowed_is_named() {
    let router = router(gate_for(Role::User), settings());
    let user = json!([{ "role": "user", "content": "Hi" }]);
    let chat = |more: Value| {
        let mut body = json!({ "model": "auto", "messages": user });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let message = |message: Value| chat(json!({ "messages": [message] }));
    let tool = |function: Value| chat(json!({ "tools": [{ "type": "function", "function": function }] }));
    let picture = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } });
    for (body, param, code) in [
        (chat(json!({ "messages": [] })), "messages", "validation"),
        (chat(json!({ "messages": "Hi" })), "messages", "validation"),
        (message(json!({ "role": "robot", "content": "x" })), "messages[0].role", "validation"),
        (message(json!({ "role": "user" })), "messages[0].content", "validation"),
        (message(json!({ "role": "user", "content": 7 })), "messages[0].content", "validation"),
        (message(json!({ "role": "user", "content": " " })), "messages[0].content", "validation"),
        (message(json!({ "role": "user", "content": "a\u{0}" })), "messages[0].content", "validation"),
        (
            message(json!({ "role": "user", "content": [picture] })),
            "messages[0].content[0].type",
            "unsupported_content",
        ),
        (message(json!({ "role": "tool", "content": "x" })), "messages[0].tool_call_id", "validation"),
        (message(json!({ "role": "assistant", "content": "x" })), "messages[0].role", "validation"),
        (message(json!({ "role": "user", "content": "x".repeat(32_001) })), "messages[0].content", "validation"),
        (chat(json!({ "temperature": 2.5 })), "temperature", "validation"),
        (chat(json!({ "top_p": -1 })), "top_p", "validation"),
        (chat(json!({ "n": 2 })), "n", "validation"),
        (chat(json!({ "max_tokens": 0 })), "max_completion_tokens", "validation"),
        (chat(json!({ "stop": ["a", "b", "c", "d", "e"] })), "stop", "validation"),
        (chat(json!({ "response_format": { "type": "xml" } })), "response_format.type", "validation"),
        (chat(json!({ "document_ids": ["x"] })), "document_ids[0]", "validation"),
        (chat(json!({ "tags": [""] })), "tags[0]", "validation"),
        (tool(json!({ "name": "no spaces" })), "tools[0].function.name", "validation"),
        (tool(json!({ "name": "f", "parameters": [] })), "tools[0].function.parameters", "validation"),
        (chat(json!({ "model": "fast-direct", "retrieval": "always" })), "retrieval", "validation"),
        (chat(json!({ "model": "fast-direct", "tool_choice": "required" })), "tool_choice", "validation"),
    ] {
        let reply = send(&router, json("POST", CHAT, &body.to_string())).await;
        let told = failure(&reply);
        assert_eq!((told.0, told.2.as_str(), told.3.as_deref()), (400, code, Some(param)), "{body}: {}", reply.text);
    }
    for (body, param) in [
        (json!({ "model": "embed", "input": [[1, 2]] }), "input[0]"),
        (json!({ "model": "embed", "input": [] }), "input"),
        (json!({ "model": "embed", "input": "a", "encoding_format": "hex" }), "encoding_format"),
        (json!({ "model": "embed", "input": vec!["a"; 257] }), "input"),
    ] {
        let told = failure(&send(&router, json("POST", EMBED, &body.to_string())).await);
        assert_eq!((told.0, told.3.as_deref()), (400, Some(param)), "{body}");
    }
    for (path, body) in [(CHAT, chat(json!({ "model": "gpt-4o" }))), (CHAT, chat(json!({ "model": "embed" })))] {
        let told = failure(&send(&router, json("POST", path, &body.to_string())).await);
        assert_eq!((told.0, told.2.as_str(), told.3.as_deref()), (404, "model_not_found", Some("model")), "{body}");
    }
}

#[tokio::test]
async fn schemas_of_a_client_are_bounded() {
    let nested =
        |depth: usize| (0..depth).fold(r#"{"type":"string"}"#.to_owned(), |inner, _| format!(r#"{{"not":{inner}}}"#));
    let wide = format!(r#"{{"enum":[{}]}}"#, vec!["1"; 3_000].join(","));
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(40_000));
    let tool = |parameters: &str| {
        format!(r#"{{"type":"function","function":{{"name":"f","description":"d","parameters":{parameters}}}}}"#)
    };
    let ask = |fields: String| {
        json(
            "POST",
            CHAT,
            &format!(r#"{{"model":"fast-direct","messages":[{{"role":"user","content":"x"}}],{fields}}}"#),
        )
    };
    let format = |schema: &str| {
        format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{schema}}}}}"#)
    };
    let many = vec![tool(&format!(r#"{{"description":"{}"}}"#, "x".repeat(20_000))); 20].join(",");
    let talkative = tool("{}").replace(r#""d""#, &format!(r#""{}""#, "x".repeat(9_000)));
    let mut models = gate_for(Role::User);
    models.on::<AskModel>(|_, _| Err(GateError::NotFound));
    let router = router(models, settings());
    for schema in [nested(40), wide, long] {
        for request in [ask(format(&schema)), ask(format!(r#""tools":[{}]"#, tool(&schema)))] {
            let told = failure(&send(&router, request).await);
            assert_eq!((told.0, told.1.as_str()), (400, "invalid_request_error"), "{}", &schema[..60]);
        }
    }
    for tools in [many, talkative] {
        let told = failure(&send(&router, ask(format!(r#""tools":[{tools}]"#))).await);
        assert_eq!((told.0, told.1.as_str()), (400, "invalid_request_error"));
    }
    for fields in [format(&nested(8)), format!(r#""tools":[{}]"#, tool(&nested(8)))] {
        assert_eq!(failure(&send(&router, ask(fields)).await).0, 404, "it reaches the gate");
    }
}
