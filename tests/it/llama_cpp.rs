//! llama.cpp's server with a small model of random weights: a real model that streams, stops by itself or at the token
//! limit, and refuses a prompt longer than its context. `cargo xtask llama-cpp` builds it and runs this test;
//! `cargo xtask test` skips it, because the build takes minutes.

use crate::support::api_client::answer_text;
use crate::support::app::{TENANT_A, TestApp, free_port};
use fakes::eventually_within;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A llama.cpp server. Dropping it kills the process.
struct LlamaServer {
    url: String,
    process: Child,
    dir: TempDir,
}

impl LlamaServer {
    async fn start(context: u32) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let model = dir.path().join("random.gguf");
        let status = Command::new(python()).arg(script()).arg(&model).status().expect("Python runs");
        assert!(status.success(), "the model is written");
        let port = free_port();
        let process = spawn_server(&model, port, context, dir.path());
        let server = Self { url: format!("http://127.0.0.1:{port}"), process, dir };
        server.wait_until_ready().await;
        server
    }

    async fn wait_until_ready(&self) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let expectation = format!("the llama.cpp server answers; its log is in {}", self.dir.path().display());
        eventually_within(Duration::from_secs(60), &expectation, || async {
            http.get(format!("{}/v1/models", self.url)).send().await.is_ok().then_some(())
        })
        .await;
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn spawn_server(model: &Path, port: u16, context: u32, dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("llama.log")).expect("a log");
    Command::new(python())
        .args(["-m", "llama_cpp.server", "--host", "127.0.0.1", "--model_alias", "fast"])
        .args(["--port", &port.to_string(), "--n_ctx", &context.to_string()])
        .arg("--model")
        .arg(model)
        .stdout(Stdio::from(log.try_clone().expect("the log")))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("the server starts")
}

#[expect(clippy::disallowed_methods, reason = "the tests' programs come from whoever starts them")]
fn python() -> String {
    std::env::var("PLATFORM_TEST_LLAMA_CPP_PYTHON")
        .expect("PLATFORM_TEST_LLAMA_CPP_PYTHON: run `cargo xtask llama-cpp`")
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("llama-cpp").join("random_model.py")
}

async fn chat(app: &TestApp, conversation: &str, message: &str) -> (String, Value) {
    let body = json!({ "message": message, "retrieval": "never", "model": "fast" });
    let events = app.as_user(TENANT_A).start_stream(conversation, &body).await.read_to_end().await;
    let last_event = events.last().expect("events").clone();
    (answer_text(&events), json!({ "event": last_event.name, "data": last_event.data }))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs llama.cpp: cargo xtask llama-cpp"]
async fn a_real_model_streams_with_usage_and_survives_a_prompt_that_is_too_long() {
    let server = LlamaServer::start(2_048).await;
    let app = TestApp::start(&[
        ("LITELLM_BASE_URL", &server.url),
        ("PLATFORM__MODELS__DIALECT", "openai"),
        ("PLATFORM__CHAT__MAX_OUTPUT_TOKENS", "64"),
        ("PLATFORM__CHAT__CONTEXT_TOKENS", "60000"),
    ])
    .await;
    let conversation = app.as_user(TENANT_A).create_conversation().await;

    let (answer, last_event) = chat(&app, &conversation, "Hello.").await;
    assert_eq!(last_event["event"], "run.finished", "{last_event}");
    let reason = last_event["data"]["finish_reason"].as_str().unwrap_or_default();
    assert!(["stop", "length"].contains(&reason), "{last_event}");
    assert_eq!(last_event["data"]["model"], "fast", "{last_event}");
    let stored_conversation =
        app.as_user(TENANT_A).get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored_conversation["messages"][1]["content"], answer);
    // This server reports no token counts in a stream, so they are estimated.
    let usage = app.as_user(TENANT_A).get("/v1/usage").await.expect_json(200);
    assert!(usage["totals"]["input_tokens"].as_u64() > Some(50), "{usage}");

    // To this model, whose tokens are bytes, twenty thousand characters are as many tokens. The server has already
    // started its response when it notices, and ends it without text. The platform reports that as an error.
    let (_, last_event) = chat(&app, &conversation, &"pressure ".repeat(2_200)).await;
    assert_eq!(last_event["event"], "error", "{last_event}");
    assert_eq!(last_event["data"]["problem"]["code"], "model_unavailable", "{last_event}");
    let new_conversation = app.as_user(TENANT_A).create_conversation().await;
    let (_, last_event) = chat(&app, &new_conversation, "Hello again.").await;
    assert_eq!(last_event["event"], "run.finished", "the server still answers: {last_event}");
}
