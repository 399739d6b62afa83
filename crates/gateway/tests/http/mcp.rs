//! The endpoint of the Model Context Protocol with a mocked gate: what comes before rmcp's server, and what calls do.

use crate::support::*;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use domain::approval::ToolInvocation;
use domain::command::{InvokeTool, ListTools};
use domain::decision::RefusalCode;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource, Role};
use domain::tool::{ListedTool, ToolId, ToolSpec};
use gateway::{GatewaySettings, McpSettings};
use policy::error::GateError;
use policy::gate::MockGate;
use serde_json::{Value, json};

fn listed(name: &str, writes_to_plant: bool) -> ListedTool {
    let spec = ToolSpec {
        name: ToolId::parse(name).expect("a name"),
        description: "A tool.".into(),
        required_permission: Permission::new(Resource::Search, Operation::Read),
        writes_to_plant,
        parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
    };
    ListedTool { spec, requires_approval: writes_to_plant }
}

fn gate() -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<ListTools>(|_, _| Ok(vec![listed("rag_search", false), listed("cmms__create_ticket", true)]));
    gate.on::<InvokeTool>(|_, command| match command.name.as_str() {
        "rag_search" => {
            assert_eq!(command.arguments, json!({"query": "bolts"}));
            let result = json!({"passages": [], "answerable": false});
            Ok(ToolInvocation::Result { result, classification: Classification::Internal })
        }
        "cmms__create_ticket" => {
            Err(GateError::OperationDenied { reason: RefusalCode::InsufficientRights, decision_id: None })
        }
        _ => Err(GateError::NotFound),
    });
    gate
}

fn mcp_router() -> Router {
    router(gate(), settings())
}

fn message(body: &str) -> Request<Body> {
    let request = json_request("POST", "/mcp", body);
    let request = with_header(request, "accept", "application/json, text/event-stream");
    let request = with_header(request, "mcp-protocol-version", "2025-11-25");
    with_header(request, "host", "localhost:8000")
}

/// A message of the stateless revision.
fn stateless_message(method: &str, name: Option<&str>, mut params: Value) -> Request<Body> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = message(&body.to_string());
    request.headers_mut().insert("mcp-protocol-version", "2026-07-28".parse().expect("a value"));
    let request = with_header(request, "mcp-method", method);
    match name {
        Some(name) => with_header(request, "mcp-name", name),
        None => request,
    }
}

#[tokio::test]
async fn tools_are_listed_for_the_caller_alone_in_both_revisions() {
    let router = mcp_router();
    let legacy = send(&router, message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)).await;
    assert_eq!(legacy.status, 200, "{}", legacy.text);
    let stateless = send(&router, stateless_message("tools/list", None, json!({}))).await;
    assert_eq!(stateless.status, 200, "{}", stateless.text);
    let (legacy, stateless) = (legacy.json(), stateless.json());
    assert_eq!(legacy["result"]["tools"], stateless["result"]["tools"]);
    assert_eq!(legacy["result"]["tools"][1]["name"], "cmms__create_ticket");
    assert_eq!(legacy["result"]["tools"][1]["annotations"]["openWorldHint"], json!(true));
    assert_eq!(stateless["result"]["cacheScope"], "private");
    assert_eq!(stateless["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_handshake_agrees_on_a_known_revision() {
    let router = mcp_router();
    for (requested, agreed) in
        [("2025-11-25", "2025-11-25"), ("2024-11-05", "2025-11-25"), ("2026-07-28", "2025-11-25")]
    {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": requested, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
            },
        });
        let mut request = message(&body.to_string());
        request.headers_mut().remove("mcp-protocol-version");
        let reply = send(&router, request).await;
        assert_eq!(reply.json()["result"]["protocolVersion"], agreed, "{}", reply.text);
        assert_eq!(reply.header("mcp-session-id"), None);
    }
    let discovered = send(&router, stateless_message("server/discover", None, json!({}))).await.json();
    assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28", "2025-11-25"]), "{discovered}");
}

#[tokio::test]
async fn a_call_is_an_invocation_and_a_refusal_is_a_result() {
    let router = mcp_router();
    let call = |name: &str, arguments: Value| {
        stateless_message("tools/call", Some(name), json!({"name": name, "arguments": arguments}))
    };
    let found = send(&router, call("rag_search", json!({"query": "bolts"}))).await.json();
    let structured = json!({
        "status": "success", "result": {"passages": [], "answerable": false}, "classification": "internal",
    });
    assert_eq!(found["result"]["structuredContent"], structured, "{found}");
    let refused = send(&router, call("cmms__create_ticket", json!({}))).await.json();
    assert_eq!(refused["result"]["isError"], json!(true), "{refused}");
    assert!(refused["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("policy_denied")));
    let unknown = send(&router, call("no_such_tool", json!({}))).await.json();
    assert_eq!(unknown["error"]["code"], json!(-32602), "{unknown}");
}

#[tokio::test]
async fn headers_that_contradict_the_message_are_refused() {
    let router = mcp_router();
    let arguments = json!({"name": "rag_search", "arguments": {"query": "bolts"}});
    let reply = send(&router, stateless_message("tools/call", Some("document_list"), arguments)).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["code"]), (400, &json!(-32020)), "{}", reply.text);
}

#[tokio::test]
async fn limits_and_authentication_come_first() {
    let small = GatewaySettings { max_json_bytes: 64, ..settings() };
    let reply = send(&router(gate(), small), message(&format!("{{\"a\":\"{}\"}}", "x".repeat(100)))).await;
    assert_eq!(reply.problem().0, 413);
    let mut nobody = MockGate::new();
    nobody.on_authenticate(|_, _| Err(GateError::TokenMissing));
    let mcp = McpSettings {
        resource: Some("https://platform.example/mcp".to_owned()),
        scopes: vec!["api".to_owned()],
        ..McpSettings::default()
    };
    let router = router(nobody, GatewaySettings { mcp, ..settings() });
    let reply = send(&router, message("{")).await;
    assert_eq!(reply.problem(), (401, "invalid_token".into(), None));
    let challenge = reply.header("www-authenticate").expect("a challenge");
    let metadata = "https://platform.example/.well-known/oauth-protected-resource/mcp";
    assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\", scope=\"api\"")), "{challenge}");
    let shown = send(&router, get("/.well-known/oauth-protected-resource/mcp")).await;
    assert_eq!(shown.json()["resource"], "https://platform.example/mcp");
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let mcp = McpSettings { resource: Some("https://platform.example/mcp".to_owned()), ..McpSettings::default() };
    let router = router(gate(), GatewaySettings { mcp, ..settings() });
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (name, value, status) in [
        ("host", "platform.example", 200),
        ("host", "127.0.0.1:9000", 200),
        ("host", "evil.example", 403),
        ("origin", "https://platform.example", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let reply = send(&router, with_header(message(ping), name, value)).await;
        assert_eq!(reply.status, status, "{name}: {value}: {}", reply.text);
    }
}
