//! OpenAI's own Python client, unmodified, against the platform. The scenarios are in `tests/openai-sdk/client.py`.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use crate::support::python;
use domain::role::Role;
use serde_json::json;
use std::time::Duration;

/// Runs a scenario with the token of a user.
async fn run_scenario(app: &TestApp, scenario: &str) {
    run_scenario_with_token(app, scenario, &app.token(TENANT_A, "uma", Role::User)).await;
}

async fn run_scenario_with_token(app: &TestApp, scenario: &str, token: &str) {
    let python = python::required_var("PLATFORM_TEST_OPENAI_PYTHON", "cargo xtask test");
    let mut command = python::script(&python, "openai-sdk/client.py");
    command.args([scenario, &format!("{}/openai/v1", app.base_url), token]);
    python::output(command, scenario, Duration::from_secs(120)).await;
}

#[tokio::test]
async fn the_client_asks_the_assistant_and_reads_the_citations() {
    let reply = || Reply::Text(vec!["Every 14", " days ", "[", "1]."]);
    // The second question refers to the first one, so a side call completes it before the search.
    let completed = Reply::Text(vec!["How often is the strainer of X-9001 cleaned?"]);
    let model = ModelServer::start([reply(), completed, reply()]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.as_user(TENANT_A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    run_scenario(&app, "assistant").await;
    let requests = model.requests();
    let messages = requests[2]["messages"].as_array().expect("messages");
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
async fn the_model_gets_the_tools_of_the_client_and_of_the_platform() {
    let tool_call = || Reply::ToolCall("read_tag", r#"{"tag": "P-101"}"#);
    let answer = || Reply::Text(vec!["Every 14 days [1]", " at 4.2 bar."]);
    let model = ModelServer::start([tool_call(), answer(), tool_call(), answer()]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.as_user(TENANT_A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    run_scenario(&app, "assistant_tools").await;
    for request in model.requests() {
        let tools = request["tools"].as_array().expect("tools").iter();
        let names: Vec<_> = tools.map(|tool| tool["function"]["name"].as_str().expect("a name")).collect();
        assert!(names.contains(&"rag_search") && names.contains(&"read_tag"), "{names:?}");
        let prompt = request["messages"].to_string();
        assert!(prompt.contains("cleaned every 14 days"), "the prompt must contain the passage: {prompt}");
    }
    let messages = model.requests()[1]["messages"].clone();
    let [.., question, call, result] = messages.as_array().expect("messages").as_slice() else { panic!("{messages}") };
    assert_eq!(question["role"], "user");
    assert_eq!(call["tool_calls"][0]["function"]["name"], "read_tag");
    let result = result["content"].as_str().expect("a text");
    assert!(result.starts_with("<tool_result-") && result.contains("\n4.2 bar\n"), "{result}");
}

#[tokio::test]
async fn the_clients_tools_are_left_out_where_no_model_can_call_them() {
    let app = TestApp::start(&[]).await;
    app.as_user(TENANT_A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    run_scenario(&app, "left_out_tools").await;
}

#[tokio::test]
async fn the_client_raises_the_documented_exceptions() {
    // The platform tries a failing server three times.
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
