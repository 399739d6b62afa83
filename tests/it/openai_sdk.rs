//! OpenAI's own Python client, unmodified, against the platform; its scenarios are in `tests/openai-sdk/client.py`.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use serde_json::json;
use std::time::Duration;

/// Runs a scenario with the token of a user.
async fn run_scenario(app: &TestApp, scenario: &str) {
    run_scenario_with_token(app, scenario, &app.token(TENANT_A, "uma", Role::User)).await;
}

async fn run_scenario_with_token(app: &TestApp, scenario: &str, token: &str) {
    let mut command = tokio::process::Command::new(python());
    command.arg(files::repository_root().join("tests/openai-sdk/client.py"));
    command.args([scenario, &format!("{}/openai/v1", app.base_url), token]).kill_on_drop(true);
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let result = tokio::time::timeout(Duration::from_secs(120), command.output()).await.expect("it ends in time");
    let output = result.expect("python starts");
    assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn python() -> String {
    std::env::var("PLATFORM_TEST_OPENAI_PYTHON")
        .expect("PLATFORM_TEST_OPENAI_PYTHON is not set: run the tests with `cargo xtask test`")
}

#[tokio::test]
async fn the_client_asks_the_assistant_and_reads_the_citations() {
    let reply = || Reply::Text(vec!["Every 14", " days ", "[", "1]."]);
    let model = ModelServer::start([reply(), reply()]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.as_user(TENANT_A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    run_scenario(&app, "assistant").await;
    let requests = model.requests();
    let messages = requests[1]["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().expect("a role")).collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "user"],
        "the prompt has the client's history instead of the stored one"
    );
}

#[tokio::test]
async fn the_client_calls_its_own_tools() {
    let tool_call = || Reply::ToolCall("read_tag", r#"{"tag": "P-101"}"#);
    let model = ModelServer::start([tool_call(), Reply::Text(vec!["It is 4.2 bar."]), tool_call()]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    run_scenario(&app, "tools").await;
    let requests = model.requests();
    assert_eq!(requests[0]["messages"][0], json!({ "role": "system", "content": "You read tags." }));
    assert_eq!(requests[0]["tools"][0]["function"]["name"], "read_tag");
    assert_eq!(requests[0]["tools"].as_array().map(Vec::len), Some(1), "none of the platform's tools");
    assert_eq!((&requests[0]["seed"], &requests[0]["tool_choice"]), (&json!(7), &json!("auto")));
    assert!(
        requests[0]["temperature"].as_f64().is_some_and(|temperature| (temperature - 0.2).abs() < 1e-6),
        "{}",
        requests[0]
    );
    let result = requests[1]["messages"].as_array().and_then(|messages| messages.last()).expect("a result");
    assert_eq!((&result["role"], &result["content"]), (&json!("tool"), &json!("4.2 bar")));
}

#[tokio::test]
async fn the_client_raises_the_documented_exceptions() {
    // The platform tries a server that is down three times.
    let server_errors = [Reply::Status(500), Reply::Status(500), Reply::Status(500)];
    let replies = [Reply::Status(400)].into_iter().chain(server_errors).chain([Reply::Interrupt("Half an ")]);
    let model = ModelServer::start(replies).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    run_scenario(&app, "errors").await;
}

#[tokio::test]
async fn the_client_raises_a_rate_limit_error() {
    let app = TestApp::start(&[("PLATFORM__RATE_LIMIT__ENABLED", "true")]).await;
    run_scenario(&app, "limits").await;
}

#[tokio::test]
async fn the_client_embeds_texts() {
    run_scenario(TestApp::shared().await, "embeddings").await;
}

#[tokio::test]
async fn the_client_sends_concurrent_requests_with_an_access_token() {
    let model = ModelServer::start([Reply::Text(vec!["Every ", "time."]), Reply::Text(vec!["Every ", "time."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let scopes = json!(["models:create", "models:list"]);
    let access_token =
        app.as_user(TENANT_A).post("/v1/tokens", &json!({ "name": "sdk", "scopes": scopes })).await.expect_json(201);
    run_scenario_with_token(&app, "concurrent", access_token["secret"].as_str().expect("a secret")).await;
}
