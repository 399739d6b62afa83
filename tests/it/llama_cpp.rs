//! llama.cpp's server with a small model of random weights: a real model that streams, stops by itself or at its limit,
//! and cannot read a prompt that is longer than its context. `cargo xtask llama-cpp` builds it and runs this test;
//! `cargo xtask test` skips it, because the build takes minutes.

use crate::support::app::{A, App, free_port};
use crate::support::caller::text;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A llama.cpp server, which is killed when it is dropped.
struct Server {
    url: String,
    process: Child,
    dir: TempDir,
}

impl Server {
    async fn start(context: u32) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let model = dir.path().join("random.gguf");
        let written = Command::new(python()).arg(script()).arg(&model).status().expect("Python runs");
        assert!(written.success(), "the model is written");
        let port = free_port();
        let process = serve(&model, port, context, dir.path());
        let server = Self { url: format!("http://127.0.0.1:{port}"), process, dir };
        server.until_there().await;
        server
    }

    async fn until_there(&self) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let expectation = format!("the llama.cpp server answers; its log is in {}", self.dir.path().display());
        eventually_within(Duration::from_secs(60), &expectation, || async {
            http.get(format!("{}/v1/models", self.url)).send().await.is_ok().then_some(())
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn serve(model: &Path, port: u16, context: u32, dir: &Path) -> Child {
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

async fn ask(app: &App, conversation: &str, message: &str) -> (String, Value) {
    let ask = json!({ "message": message, "retrieval": "never", "model": "fast" });
    let events = app.as_user(A).begin_stream(conversation, &ask).await.rest().await;
    let last = events.last().expect("events").clone();
    (text(&events), json!({ "event": last.name, "data": last.data }))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs llama.cpp: cargo xtask llama-cpp"]
async fn a_real_model_streams_is_counted_and_outlives_a_prompt_that_is_too_long() {
    let server = Server::start(2_048).await;
    let app = App::start(&[
        ("LITELLM_BASE_URL", &server.url),
        ("PLATFORM__MODELS__DIALECT", "openai"),
        ("PLATFORM__CHAT__MAX_OUTPUT_TOKENS", "64"),
        ("PLATFORM__CHAT__CONTEXT_TOKENS", "60000"),
    ])
    .await;
    let conversation = app.as_user(A).conversation().await;

    let (said, end) = ask(&app, &conversation, "Hello.").await;
    assert_eq!(end["event"], "run.finished", "{end}");
    let reason = end["data"]["finish_reason"].as_str().unwrap_or_default();
    assert!(["stop", "length"].contains(&reason), "{end}");
    assert_eq!(end["data"]["model"], "fast", "{end}");
    let stored = app.as_user(A).get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(stored["messages"][1]["content"], said);
    // This server reports no token counts in a stream, so they are estimated.
    let usage = app.as_user(A).get("/v1/usage").await.expect(200);
    assert!(usage["totals"]["input_tokens"].as_u64() > Some(50), "{usage}");

    // Twenty thousand characters are as many tokens to a model whose tokens are bytes. This server has already started
    // its response when it notices, and ends it without any text; the platform reports that as an error.
    let (_, end) = ask(&app, &conversation, &"pressure ".repeat(2_200)).await;
    assert_eq!(end["event"], "error", "{end}");
    assert_eq!(end["data"]["problem"]["code"], "model_unavailable", "{end}");
    let fresh = app.as_user(A).conversation().await;
    let (_, end) = ask(&app, &fresh, "Hello again.").await;
    assert_eq!(end["event"], "run.finished", "the server still answers: {end}");
}
