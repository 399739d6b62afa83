//! OpenAI's own Python client, unmodified, against the platform; its scenarios are in `tests/openai-sdk/client.py`.

use crate::support::app::{A, App};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use serde_json::json;
use std::time::Duration;

/// Runs a scenario with the token of a user.
async fn client(app: &App, scenario: &str) {
    client_with(app, scenario, &app.token(A, "uma", Role::User)).await;
}

async fn client_with(app: &App, scenario: &str, token: &str) {
    let mut command = tokio::process::Command::new(python());
    command.arg(files::root().join("tests/openai-sdk/client.py"));
    command.args([scenario, &format!("{}/openai/v1", app.base), token]).kill_on_drop(true);
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let ended = tokio::time::timeout(Duration::from_secs(120), command.output()).await.expect("it ends in time");
    let output = ended.expect("python starts");
    assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn python() -> String {
    std::env::var("PLATFORM_TEST_OPENAI_PYTHON")
        .expect("PLATFORM_TEST_OPENAI_PYTHON is not set: run the tests with `cargo xtask test`")
}

#[tokio::test]
async fn it_asks_the_assistant_and_reads_the_citations() {
    let says = || Reply::Text(vec!["Every 14", " days ", "[", "1]."]);
    let model = ModelServer::start([says(), says()]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.as_user(A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    client(&app, "assistant").await;
    let asked = model.asked();
    let messages = asked[1]["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().expect("a role")).collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "user"],
        "the prompt has the client's history instead of the stored one"
    );
}

#[tokio::test]
async fn it_calls_its_own_tools() {
    let calls = || Reply::ToolCall("read_tag", r#"{"tag": "P-101"}"#);
    let model = ModelServer::start([calls(), Reply::Text(vec!["It is 4.2 bar."]), calls()]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    client(&app, "tools").await;
    let asked = model.asked();
    assert_eq!(asked[0]["messages"][0], json!({ "role": "system", "content": "You read tags." }));
    assert_eq!(asked[0]["tools"][0]["function"]["name"], "read_tag");
    assert_eq!(asked[0]["tools"].as_array().map(Vec::len), Some(1), "none of the platform's tools");
    assert_eq!((&asked[0]["seed"], &asked[0]["tool_choice"]), (&json!(7), &json!("auto")));
    assert!(asked[0]["temperature"].as_f64().is_some_and(|given| (given - 0.2).abs() < 1e-6), "{}", asked[0]);
    let result = asked[1]["messages"].as_array().and_then(|messages| messages.last()).expect("a result");
    assert_eq!((&result["role"], &result["content"]), (&json!("tool"), &json!("4.2 bar")));
}

#[tokio::test]
async fn it_raises_what_its_users_catch() {
    // The platform tries a server that is down three times.
    let down = [Reply::Fail(500), Reply::Fail(500), Reply::Fail(500)];
    let replies = [Reply::Fail(400)].into_iter().chain(down).chain([Reply::Interrupt("Half an ")]);
    let model = ModelServer::start(replies).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    client(&app, "errors").await;
}

#[tokio::test]
async fn it_is_told_that_there_is_a_limit() {
    let app = App::start(&[("PLATFORM__RATE_LIMIT__ENABLED", "true")]).await;
    client(&app, "limits").await;
}

#[tokio::test]
async fn it_embeds() {
    client(App::shared().await, "embeddings").await;
}

#[tokio::test]
async fn it_asks_several_things_at_once_with_an_access_token() {
    let model = ModelServer::start([Reply::Text(vec!["Every ", "time."]), Reply::Text(vec!["Every ", "time."])]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let scopes = json!(["models:create", "models:list"]);
    let made = app.as_user(A).post("/v1/tokens", &json!({ "name": "sdk", "scopes": scopes })).await.expect(201);
    client_with(&app, "concurrent", made["secret"].as_str().expect("a secret")).await;
}
