//! LangChain and LlamaIndex, unmodified, against the platform. The scenarios are in `tests/openai-clients/client.py`.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use crate::support::python;
use domain::role::Role;
use std::time::Duration;

async fn run_scenario(app: &TestApp, scenario: &str) {
    let python = python::required_var("PLATFORM_TEST_OPENAI_CLIENTS_PYTHON", "cargo xtask test");
    let mut command = python::script(&python, "openai-clients/client.py");
    command.args([scenario, &format!("{}/openai/v1", app.base_url), &app.token(TENANT_A, "uma", Role::User)]);
    python::output(command, scenario, Duration::from_secs(180)).await;
}

async fn app_with(model: &ModelServer) -> TestApp {
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    app.as_user(TENANT_A).ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    app
}

fn text_reply() -> Reply {
    Reply::Text(vec!["Every 14", " days ", "[", "1]."])
}

fn tool_call_reply() -> Reply {
    Reply::ToolCall("read_tag", r#"{"tag": "P-101"}"#)
}

#[tokio::test]
async fn langchain_asks_streams_and_calls_a_tool() {
    let model =
        ModelServer::start([text_reply(), text_reply(), tool_call_reply(), Reply::Text(vec!["It is 4.2 bar."])]).await;
    run_scenario(&app_with(&model).await, "langchain").await;
}

#[tokio::test]
async fn langchain_embeds_texts_that_it_sends_as_token_ids() {
    run_scenario(TestApp::shared().await, "langchain_embeddings").await;
}

#[tokio::test]
async fn llamaindex_asks_streams_calls_a_tool_and_embeds() {
    let model = ModelServer::start([text_reply(), text_reply(), tool_call_reply()]).await;
    run_scenario(&app_with(&model).await, "llamaindex").await;
}
