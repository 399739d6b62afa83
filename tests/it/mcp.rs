//! The Model Context Protocol: the official SDK as a client of the platform, and an MCP server made with it whose tools
//! the platform calls. The scripts are in `tests/mcp-sdk`.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::files;
use crate::support::mcp_server::TestMcpServer;
use crate::support::model::{ModelServer, Reply};
use crate::support::python;
use domain::role::Role;
use fakes::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Limit for a scenario of the client, which starts Python.
const SCENARIO_LIMIT: Duration = Duration::from_secs(120);
/// How long a worker may take for what is due.
const WORKER_LIMIT: Duration = Duration::from_secs(40);

/// Runs a scenario of the official client; returns what it prints.
async fn run_scenario(app: &TestApp, scenario: &str, token: &str) -> Value {
    let python = python::required_var("PLATFORM_TEST_MCP_PYTHON", "cargo xtask test");
    let mut command = python::script(&python, "mcp-sdk/client.py");
    command.args([scenario, &format!("{}/mcp", app.base_url), token]);
    let printed = python::output(command, scenario, SCENARIO_LIMIT).await;
    serde_json::from_str(&printed).expect("JSON")
}

fn names(tools: &Value) -> Vec<&str> {
    tools.as_array().expect("a list").iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Sends a message to the endpoint, as a client of the revision 2025-11-25 does.
async fn send(caller: &ApiClient<'_>, message: &Value) -> ApiResponse {
    let request = caller.request(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
    ApiResponse::send(request.header("mcp-protocol-version", "2025-11-25").json(message)).await
}

fn call_message(name: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

#[tokio::test]
async fn the_official_client_lists_and_calls_the_tools_that_the_role_allows() {
    let app = TestApp::shared().await;
    let viewer = app.token(TENANT_A, "mcp-viewer", Role::Viewer);
    let admin = app.token(TENANT_A, "mcp-admin", Role::Admin);
    let listed_for_viewer = run_scenario(app, "listed", &viewer).await;
    let listed_for_admin = run_scenario(app, "listed", &admin).await;
    for (token, listed) in [(&viewer, &listed_for_viewer), (&admin, &listed_for_admin)] {
        let over_http = app.with_token(token).get("/v1/tools").await.expect_json(200);
        assert_eq!(names(listed), names(&over_http["data"]), "the same tools as over HTTP");
    }
    assert!(!names(&listed_for_viewer).contains(&"plant_system_write"));
    let tools = listed_for_admin.as_array().expect("tools");
    let find = |name: &str| tools.iter().find(|tool| tool["name"] == name).expect("a tool");
    assert_eq!(find("rag_search")["annotations"], json!({ "readOnlyHint": true, "openWorldHint": false }));
    assert_eq!(find("plant_system_write")["annotations"]["readOnlyHint"], json!(false));
    for tool in tools {
        assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false), "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
    }
    let result = run_scenario(app, "called", &viewer).await;
    assert_eq!((&result["status"], result["result"]["documents"].is_array()), (&json!("success"), true), "{result}");
    run_scenario(app, "refused", &viewer).await;
}

#[tokio::test]
async fn a_write_waits_for_approval_and_is_refused_to_a_viewer() {
    let app = TestApp::shared().await;
    let admin = app.token(TENANT_A, "mcp-writer", Role::Admin);
    let pending = run_scenario(app, "write", &admin).await;
    assert_eq!(pending["status"], "pending_approval", "{pending}");
    let approval = format!("/v1/approvals/{}", text(&pending["approval_id"]));
    let approval = app.with_token(&admin).get(&approval).await.expect_json(200);
    assert_eq!((&approval["status"], &approval["tool"]), (&json!("pending"), &json!("plant_system_write")));
    let viewer = app.token(TENANT_A, "mcp-reader", Role::Viewer);
    let refusal = text(&run_scenario(app, "write_refused", &viewer).await);
    assert!(refusal.contains("forbidden_tool"), "{refusal}");
    let audit = app.as_admin(TENANT_A).get("/v1/audit?event_type=policy.denied&limit=50").await.expect_json(200);
    let rows = audit["data"].as_array().expect("rows");
    assert!(rows.iter().any(|row| row["metadata"]["tool"] == "plant_system_write"), "{audit}");
}

#[tokio::test]
async fn a_token_of_one_tenant_finds_nothing_of_another() {
    let app = TestApp::shared().await;
    app.as_user(TENANT_A).ingest("mcp-a.md", &files::note("X-MCP-A"), &[]).await;
    app.as_user(TENANT_B).ingest("mcp-b.md", &files::note("X-MCP-B"), &[]).await;
    for (tenant, own, foreign) in [(TENANT_A, "mcp-a.md", "mcp-b.md"), (TENANT_B, "mcp-b.md", "mcp-a.md")] {
        let called = send(&app.as_user(tenant), &call_message("document_list", &json!({ "limit": 100 }))).await;
        let body = called.text();
        assert_eq!(called.status, 200, "{body}");
        assert!(body.contains(own) && !body.contains(foreign), "{tenant}: {body}");
    }
}

#[tokio::test]
async fn a_personal_access_token_calls_what_its_scopes_allow() {
    let app = TestApp::shared().await;
    let owner = app.caller(TENANT_A, "mcp-token-owner", Role::User);
    let issue = async |scopes: Value| {
        let body = json!({ "name": "MCP", "scopes": scopes });
        text(&owner.post("/v1/tokens", &body).await.expect_json(201)["secret"])
    };
    let token = issue(json!(["tools:list", "tools:create", "documents:list"])).await;
    assert_eq!(names(&run_scenario(app, "listed", &token).await), ["document_list", "calculator"]);
    run_scenario(app, "called", &token).await;
    let without_documents = issue(json!(["tools:list", "tools:create"])).await;
    let refused = send(&app.with_token(&without_documents), &call_message("document_list", &json!({}))).await;
    assert_eq!(refused.expect_json(200)["result"]["isError"], json!(true));
}

#[tokio::test]
async fn without_a_token_the_challenge_names_where_to_sign_in() {
    let app = TestApp::shared().await;
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let refused = send(&app.without_token(), &message).await;
    refused.expect_problem(401, "invalid_token");
    let challenge = refused.header("www-authenticate").expect("a challenge");
    let url = format!("{}/.well-known/oauth-protected-resource/mcp", app.base_url);
    assert_eq!(challenge, format!("Bearer resource_metadata=\"{url}\""));
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let metadata = app.without_token().get(path).await.expect_json(200);
        assert_eq!(metadata["resource"], json!(format!("{}/mcp", app.base_url)), "{metadata}");
        assert!(metadata["authorization_servers"].as_array().is_some_and(|issuers| !issuers.is_empty()), "{metadata}");
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    }
    let wrong = send(&app.with_token("no token"), &message).await;
    let challenge = wrong.header("www-authenticate").expect("a challenge").to_owned();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\", resource_metadata="), "{challenge}");
}

#[tokio::test]
async fn what_is_no_message_of_a_known_revision_is_refused() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let post = |body: &'static str| {
        let request = user.request(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
        ApiResponse::send(request.header("content-type", "application/json").body(body))
    };
    for (body, code) in [
        ("{", -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#, -32602),
    ] {
        assert_eq!(post(body).await.expect_json(400)["error"]["code"], json!(code), "{body}");
    }
    let unknown = send(&user, &json!({ "jsonrpc": "2.0", "id": 1, "method": "no/such" })).await;
    assert_eq!(unknown.json()["error"]["code"], json!(-32601), "{unknown:?}");
    let ping = send(&user, &json!({ "jsonrpc": "2.0", "id": "a", "method": "ping" })).await.expect_json(200);
    assert_eq!((&ping["id"], &ping["result"]), (&json!("a"), &json!({})));
    let noted = send(&user, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    assert_eq!(noted.status, 202, "{noted:?}");
    for method in [Method::GET, Method::DELETE] {
        ApiResponse::send(user.request(method, "/mcp")).await.expect_problem(405, "method_not_allowed");
    }
    let version = user.request(Method::POST, "/mcp").header("mcp-protocol-version", "2024-11-05");
    let version = version.header("accept", "application/json, text/event-stream");
    let old = ApiResponse::send(version.json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }))).await;
    assert_eq!(old.expect_json(400)["error"]["data"]["supported"], json!(["2026-07-28", "2025-11-25"]));
}

#[tokio::test]
async fn web_pages_and_rebound_names_are_refused() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for (header, value) in [("origin", "https://evil.example"), ("origin", "null"), ("host", "evil.example")] {
        let request = user.request(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
        let refused = ApiResponse::send(request.header(header, value).json(&message)).await;
        assert_eq!(refused.status, 403, "{header}: {value}: {refused:?}");
    }
}

/// A tenant whose admin has added an MCP server with the given decisions on its tools.
struct Plant<'a> {
    app: &'a TestApp,
    tenant: &'static str,
    server: TestMcpServer,
    path: String,
}

fn decisions() -> Value {
    let tool =
        |name: &str, write: bool| json!({ "name": name, "allow": true, "write": write, "classification": "internal" });
    json!([
        tool("find_ticket", false), tool("huge", false), tool("slow", false), tool("injection", false),
        tool("create_ticket", true),
        { "name": "secret_tool", "allow": false, "write": false, "classification": "internal" },
    ])
}

impl<'a> Plant<'a> {
    async fn new(app: &'a TestApp, tenant: &'static str) -> Self {
        app.create_tenant(tenant).await;
        let server = TestMcpServer::start().await;
        let body = json!({
            "name": "cmms", "url": server.url, "auth": { "type": "bearer", "token": "the-servers-own" },
            "tools": decisions(),
        });
        let created = app.as_admin(tenant).post("/v1/admin/mcp-servers", &body).await.expect_json(201);
        assert_eq!(
            (&created["reachable"], &created["auth"]),
            (&json!(true), &json!({ "type": "bearer" })),
            "{created}"
        );
        let path = format!("/v1/admin/mcp-servers/{}", text(&created["id"]));
        Self { app, tenant, server, path }
    }

    fn admin(&self) -> ApiClient<'a> {
        self.app.as_admin(self.tenant)
    }

    fn user(&self) -> ApiClient<'a> {
        self.app.as_user(self.tenant)
    }

    async fn invoke(&self, tool: &str, arguments: &Value) -> ApiResponse {
        let path = format!("/v1/tools/cmms__{tool}/invoke");
        self.user().post(&path, &json!({ "arguments": arguments })).await
    }

    /// The state of a tool, as an admin reads it.
    async fn state(&self, tool: &str) -> Value {
        let server = self.admin().get(&self.path).await.expect_json(200);
        let tools = server["tools"].as_array().expect("tools").clone();
        tools.into_iter().find(|shown| shown["name"] == tool).expect("a tool")["state"].clone()
    }

    async fn listed(&self) -> Vec<String> {
        let tools = self.user().get("/v1/tools").await.expect_json(200);
        names(&tools["data"]).into_iter().filter(|name| name.starts_with("cmms__")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn an_allowed_foreign_tool_is_called_with_the_servers_own_token() {
    let plant = Plant::new(TestApp::shared().await, "mcp-allowed").await;
    let listed = plant.listed().await;
    assert_eq!(listed, ["cmms__find_ticket", "cmms__huge", "cmms__injection", "cmms__slow"], "create_ticket writes");
    let called = plant.invoke("find_ticket", &json!({ "tag": "P-101" })).await.expect_json(200);
    assert_eq!(called["result"]["structured_content"], json!({ "tag": "P-101", "state": "open" }), "{called}");
    assert_eq!(called["classification"], "internal");
    assert_eq!(plant.server.calls()[0]["authorization"], "Bearer the-servers-own");
    plant.invoke("find_ticket", &json!({ "tag": 1 })).await.expect_problem(422, "validation");
    plant.invoke("secret_tool", &json!({})).await.expect_problem(404, "not_found");
    plant.invoke("no_such_tool", &json!({})).await.expect_problem(404, "not_found");
    assert_eq!(plant.server.calls().len(), 1, "nothing else reached the server");
    let viewer = plant.app.as_viewer(plant.tenant);
    let refused = viewer.post("/v1/tools/cmms__find_ticket/invoke", &json!({ "arguments": { "tag": "P" } })).await;
    refused.expect_problem(403, "forbidden_tool");
    let over_mcp = send(&plant.user(), &call_message("cmms__find_ticket", &json!({ "tag": "P-102" }))).await;
    assert_eq!(over_mcp.expect_json(200)["result"]["structuredContent"]["status"], "success");
    let stranger = plant.app.as_user(TENANT_B);
    let other = stranger.post("/v1/tools/cmms__find_ticket/invoke", &json!({ "arguments": { "tag": "P" } })).await;
    other.expect_problem(404, "not_found");
    let shown = plant.admin().get(&plant.path).await.text();
    assert!(!shown.contains("the-servers-own"), "{shown}");
}

#[tokio::test]
async fn a_changed_definition_switches_a_tool_off_until_an_admin_decides_again() {
    let plant = Plant::new(TestApp::shared().await, "mcp-changed").await;
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_json(200);
    plant.server.set_state(&json!({ "version": 2 }));
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_problem(409, "tool_changed");
    assert_eq!(plant.server.call_count("find_ticket"), 1, "the changed tool was not called");
    assert_eq!(plant.state("find_ticket").await, "changed");
    assert!(!plant.listed().await.contains(&"cmms__find_ticket".to_owned()));
    plant.server.set_state(&json!({ "version": 1 }));
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_problem(409, "tool_changed");
    plant.invoke("huge", &json!({ "size": 10 })).await.expect_json(200);
    plant.server.set_state(&json!({ "version": 3, "missing": ["huge"] }));
    // Version 2 was shown; version 3 is not what the admin has decided on.
    for expected in ["changed", "allowed"] {
        let decided = plant.admin().patch(&plant.path, &json!({ "tools": decisions() })).await.expect_json(200);
        let tools = decided["tools"].as_array().expect("tools");
        let states: Vec<_> = tools.iter().map(|tool| text(&tool["state"])).collect();
        assert_eq!(states, ["allowed", expected, "missing", "allowed", "new", "allowed"], "by name: {decided}");
    }
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_json(200);
    assert_ne!(plant.invoke("huge", &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_decision_with_a_digest_covers_that_definition_only() {
    let plant = Plant::new(TestApp::shared().await, "mcp-digest").await;
    let read_digest = async || {
        let shown = plant.admin().get(&plant.path).await.expect_json(200);
        let tools = shown["tools"].as_array().expect("tools");
        let tool = tools.iter().find(|tool| tool["name"] == "find_ticket").expect("the tool");
        text(&tool["definition"]["digest"])
    };
    let rule = |digest: &str| {
        let name = "find_ticket";
        json!([{ "name": name, "allow": true, "write": false, "classification": "internal", "digest": digest }])
    };
    let first = read_digest().await;
    plant.admin().patch(&plant.path, &json!({ "tools": rule(&first) })).await.expect_json(200);
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_json(200);

    // Somebody else's request looks at the server, and with it the stored definition changes.
    plant.server.set_state(&json!({ "version": 2 }));
    let second = read_digest().await;
    assert_ne!(first, second);
    let stale = plant.admin().patch(&plant.path, &json!({ "tools": rule(&first) })).await;
    let problem = stale.expect_problem(409, "definition_changed");
    assert!(text(&problem["detail"]).contains("find_ticket"), "{problem}");
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_problem(409, "tool_changed");
    plant.admin().patch(&plant.path, &json!({ "tools": rule(&second) })).await.expect_json(200);
    plant.invoke("find_ticket", &json!({ "tag": "P" })).await.expect_json(200);
    let invalid = plant.admin().patch(&plant.path, &json!({ "tools": rule("sha256:x") })).await;
    let problem = invalid.expect_problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/tools/0/digest", "{problem}");
}

#[tokio::test]
async fn results_are_bounded_in_size_and_time_and_hidden_text_is_removed() {
    let plant = Plant::new(TestApp::shared().await, "mcp-hostile").await;
    let huge = plant.invoke("huge", &json!({})).await.expect_json(200);
    assert_eq!(huge["result"]["truncated"], json!(true));
    assert!(huge.to_string().len() < 100_000);
    let too_huge = plant.invoke("huge", &json!({ "size": 3_000_000 })).await;
    too_huge.expect_problem(503, "unavailable");
    let injection = plant.invoke("injection", &json!({})).await.expect_json(200);
    assert!(!injection.to_string().contains('\u{200b}'), "{injection}");
    let started = tokio::time::Instant::now();
    plant.invoke("slow", &json!({})).await.expect_problem(503, "unavailable");
    assert!(started.elapsed() < Duration::from_secs(40));
}

#[tokio::test]
async fn the_model_calls_a_foreign_tool_and_what_it_returns_starts_nothing() {
    let call = |name| Reply::ToolCall(name, "{}");
    let model = ModelServer::start([call("cmms__injection"), Reply::Text(vec!["It says so."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let plant = Plant::new(&app, "mcp-chat").await;
    let conversation = plant.user().create_conversation().await;
    let body = json!({ "message": "What does the ticket system say?", "retrieval": "never", "stream": false });
    plant.user().post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200);
    let requests = model.requests();
    let offered = requests[0]["tools"].to_string();
    assert!(offered.contains("cmms__find_ticket") && !offered.contains("secret_tool"), "{offered}");
    let result = requests[1]["messages"].as_array().and_then(|messages| messages.last()).expect("a result").clone();
    let content = text(&result["content"]);
    assert!(content.contains("Ignore all earlier instructions"), "{content}");
    for marker in ["</tool_result>", "<|im_start|>", "\u{200b}<|"] {
        assert!(!content.contains(marker), "{marker:?} in {content}");
    }
    let approvals = plant.user().get("/v1/approvals").await.expect_json(200);
    assert_eq!(approvals["data"], json!([]));
}

#[tokio::test]
async fn what_the_model_has_read_is_not_sent_in_a_write_to_a_server_that_may_not_see_it() {
    let call = Reply::ToolCall("cmms__create_ticket", r#"{"tag": "P-101", "title": "The secret of the seal"}"#);
    let model = ModelServer::start([call, Reply::Text(vec!["I may not pass that on."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let plant = Plant::new(&app, "mcp-above").await;
    let text = b"# Seal of P-101\n\nThe seal of P-101 is made of a secret alloy.\n";
    plant.admin().ingest("seal.md", text, &[("classification", "confidential")]).await;
    let conversation = plant.admin().create_conversation().await;
    let body = json!({ "message": "What is the seal of P-101 made of?", "retrieval": "always", "stream": false });
    plant.admin().post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200);
    let requests = model.requests();
    assert!(requests[0]["messages"].to_string().contains("secret alloy"), "control: it was read: {}", requests[0]);
    assert!(requests[1]["messages"].to_string().contains("Nothing was written"), "{}", requests[1]);
    assert_eq!(plant.admin().get("/v1/approvals").await.expect_json(200)["data"], json!([]));
    let denied = plant.admin().get("/v1/audit?event_type=policy.denied").await.expect_json(200);
    let reason = &denied["data"][0]["metadata"]["reason"];
    assert_eq!(*reason, "arguments_above_classification", "{denied}");
}

#[tokio::test]
async fn a_foreign_write_happens_once_it_is_approved_and_an_unclear_one_stays_unknown() {
    let plant = Plant::new(TestApp::shared().await, "mcp-write").await;
    let approver = plant.app.caller(plant.tenant, "ines", Role::User);
    let me = approver.get("/v1/me").await.expect_json(200);
    let grants = json!({ "grants": ["approver"] });
    plant.admin().patch(&format!("/v1/admin/users/{}", text(&me["id"])), &grants).await.expect_json(200);
    let mut outcomes = Vec::new();
    for title in ["seal", "fails", "hangs"] {
        let body = json!({ "arguments": { "tag": "P-101", "title": title } });
        let path = "/v1/tools/cmms__create_ticket/invoke";
        let pending = plant.admin().post(path, &body).await.expect_json(202);
        let approval = format!("/v1/approvals/{}", text(&pending["approval_id"]));
        let read = plant.admin().get(&approval).await.expect_json(200);
        assert_eq!(read["preview"]["arguments"], body["arguments"], "{read}");
        let decision = json!({ "decision": "approve", "digest": read["digest"] });
        let approver = plant.app.caller(plant.tenant, "ines", Role::User);
        approver.post(&format!("{approval}/decision"), &decision).await.expect_json(200);
        let done = eventually_within(WORKER_LIMIT, &format!("{title} ended"), || async {
            let read = plant.admin().get(&approval).await.expect_json(200);
            ["executed", "failed"].contains(&read["status"].as_str().unwrap_or_default()).then_some(read)
        })
        .await;
        outcomes.push((text(&done["status"]), done["error"]["code"].as_str().map(str::to_owned)));
    }
    let failed = |code: &str| ("failed".to_owned(), Some(code.to_owned()));
    assert_eq!(outcomes, [("executed".to_owned(), None), failed("refused"), failed("outcome_unknown")]);
    assert_eq!(plant.server.call_count("create_ticket"), 3, "each was sent once");
    plant
        .user()
        .post("/v1/tools/cmms__create_ticket/invoke", &json!({ "arguments": { "tag": "P", "title": "T" } }))
        .await
        .expect_problem(403, "forbidden_tool");
}

#[tokio::test]
async fn addresses_that_only_the_platform_can_reach_are_refused() {
    let app = TestApp::shared().await;
    let admin = app.as_admin(TENANT_A);
    for url in [
        "http://169.254.169.254/mcp",
        "http://[fe80::1]/mcp",
        "ftp://example.com/mcp",
        "https://user:pw@example.com/mcp",
        "no URL",
        "http://10.0.0.1/mcp",
    ] {
        let body = json!({ "name": "refused", "url": url });
        let refused = admin.post("/v1/admin/mcp-servers", &body).await.expect_problem(422, "validation");
        assert_eq!(refused["errors"][0]["pointer"], "/url", "{url}: {refused}");
    }
    let unreachable = json!({ "name": "unreachable", "url": "http://127.0.0.1:1/mcp", "tools": decisions() });
    let created = admin.post("/v1/admin/mcp-servers", &unreachable).await.expect_json(201);
    assert_eq!((&created["reachable"], &created["tools"][0]["state"]), (&json!(false), &json!("missing")), "{created}");
    admin.post("/v1/admin/mcp-servers", &unreachable).await.expect_problem(409, "conflict");
    let path = format!("/v1/admin/mcp-servers/{}", text(&created["id"]));
    assert_eq!(admin.delete(&path).await.status, 204);
    admin.get(&path).await.expect_problem(404, "not_found");
}
