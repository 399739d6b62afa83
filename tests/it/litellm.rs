//! A real LiteLLM proxy between the platform and a scripted backend. `cargo xtask litellm` installs it and runs this
//! test; `cargo xtask test` skips it, because the installation is large.

use crate::support::api_client::{SseEvent, answer_text};
use crate::support::app::{TENANT_A, TestApp, free_port};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually_within;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const KEY: &str = "sk-of-the-tests";

/// A LiteLLM proxy. Dropping it kills the process.
struct Proxy {
    url: String,
    process: Child,
    _dir: TempDir,
}

impl Proxy {
    /// Starts a proxy that serves `fast` and `embed` from `fast`, and whose `heavy` falls back to `spare`.
    async fn start(fast: &ModelServer, heavy: &ModelServer, spare: &ModelServer) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let config = dir.path().join("litellm.yaml");
        std::fs::write(&config, configuration(fast, heavy, spare)).expect("write");
        let port = free_port();
        let log = std::fs::File::create(dir.path().join("litellm.log")).expect("a log");
        let process = Command::new(litellm_program())
            .arg("--config")
            .arg(&config)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .env("LITELLM_MASTER_KEY", KEY)
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env_remove("DATABASE_URL")
            .stdout(Stdio::from(log.try_clone().expect("the log")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("LiteLLM starts");
        let proxy = Self { url: format!("http://127.0.0.1:{port}"), process, _dir: dir };
        proxy.wait_until_ready().await;
        proxy
    }

    async fn wait_until_ready(&self) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let expectation = format!("LiteLLM answers; its log is in {}", self._dir.path().display());
        eventually_within(Duration::from_secs(120), &expectation, || async {
            let response = http.get(format!("{}/health/liveliness", self.url)).send().await;
            response.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' programs come from whoever starts them")]
fn litellm_program() -> String {
    std::env::var("PLATFORM_TEST_LITELLM").expect("PLATFORM_TEST_LITELLM: run `cargo xtask litellm`")
}

fn configuration(fast: &ModelServer, heavy: &ModelServer, spare: &ModelServer) -> String {
    let model = |name: &str, model: &str, server: &ModelServer| {
        format!(
            "  - model_name: {name}\n    litellm_params: {{model: openai/{model}, api_base: \"{}/v1\", api_key: none, \
             input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}\n",
            server.url
        )
    };
    format!(
        "model_list:\n{}{}{}{}router_settings:\n  num_retries: 0\n  fallbacks: [{{\"heavy\": [\"spare\"]}}]\n\
         general_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY\nlitellm_settings:\n  telemetry: false\n",
        model("fast", "everyday-7b", fast),
        model("heavy", "hard-70b", heavy),
        model("spare", "spare-7b", spare),
        model("embed", "nomic", fast),
    )
}

fn last_event_data(events: &[SseEvent]) -> &Value {
    &events.last().expect("events").data
}

/// One test for everything, because the proxy takes fifteen seconds to start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs LiteLLM: cargo xtask litellm"]
async fn a_litellm_proxy_serves_and_falls_back_and_the_platform_works_without_it() {
    let fast = ModelServer::start_with_default(Reply::Text(vec!["All ", "well."])).await;
    let heavy = ModelServer::start_with_default(Reply::Status(500)).await;
    let spare = ModelServer::start_with_default(Reply::Text(vec!["By the spare one."])).await;
    let direct = ModelServer::start_with_default(Reply::Text(vec!["Without the proxy."])).await;
    let mut proxy = Proxy::start(&fast, &heavy, &spare).await;
    let file = tempfile::NamedTempFile::with_suffix_in(".toml", env!("CARGO_TARGET_TMPDIR")).expect("a file");
    std::fs::write(file.path(), platform_settings(&proxy, &direct)).expect("write");
    let app = TestApp::start(&[("PLATFORM_CONFIG", file.path().to_str().expect("UTF-8"))]).await;

    assert_serves_with_usage_and_cost(&app).await;
    assert_falls_back_except_for_confidential_content(&app, &heavy, &spare).await;
    assert_backend_errors_are_reported(&app, &heavy, &spare).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    proxy.kill();
    let events = user.chat_events(&conversation, "Hello there.").await;
    assert_eq!(answer_text(&events), "Without the proxy.");
    assert_eq!(last_event_data(&events)["fallback"], true);
}

fn platform_settings(proxy: &Proxy, direct: &ModelServer) -> String {
    format!(
        r#"
        [models.backends.litellm]
        dialect = "litellm"
        base_url = "{}"
        api_key = "{KEY}"
        [models.backends.direct]
        base_url = "{}"
        [[models.tiers.fast]]
        backend = "litellm"
        model = "fast"
        [[models.tiers.fast]]
        backend = "direct"
        model = "direct-7b"
        [[models.tiers.heavy]]
        backend = "litellm"
        model = "heavy"
        "#,
        proxy.url, direct.url
    )
}

/// An answer has the model, the token counts and the cost that LiteLLM reports.
async fn assert_serves_with_usage_and_cost(app: &TestApp) {
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let events = user.chat_events(&conversation, "Hello there.").await;
    assert_eq!(answer_text(&events), "All well.");
    let final_data = last_event_data(&events);
    assert_eq!(
        (&final_data["degraded"], &final_data["usage"]["input_tokens"]),
        (&json!(false), &json!(21)),
        "{final_data}"
    );
    assert!(final_data["model"].as_str().is_some_and(|model| model.contains("everyday-7b")), "{final_data}");
    let usage = user.get("/v1/usage?group_by=backend").await.expect_json(200);
    // 21 tokens at one millionth and 7 tokens at two millionths, in LiteLLM's currency.
    assert_eq!(usage["groups"][0]["key"], "litellm", "{usage}");
    assert_eq!(usage["groups"][0]["cost"], 0.000_035, "{usage}");
}

/// A fallback inside LiteLLM is reported as a fallback. For confidential content the platform disables it.
async fn assert_falls_back_except_for_confidential_content(app: &TestApp, heavy: &ModelServer, spare: &ModelServer) {
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let body = json!({ "message": "Hello there.", "model": "heavy" });
    let events = user.start_stream(&conversation, &body).await.read_to_end().await;
    let final_data = last_event_data(&events);
    assert_eq!(answer_text(&events), "By the spare one.");
    assert_eq!((&final_data["degraded"], &final_data["fallback"]), (&json!(true), &json!(true)), "{final_data}");
    assert!(final_data["model"].as_str().is_some_and(|model| model.contains("spare-7b")), "{final_data}");

    let confidential = user.ingest("x-9300.md", &files::note("X-9300"), &[("classification", "confidential")]).await;
    let id = confidential["id"].as_str().expect("an id");
    let (heavy_requests, spare_requests) = (heavy.requests().len(), spare.requests().len());
    let message = "How often is the strainer of X-9300 cleaned?";
    let body = json!({ "message": message, "model": "heavy", "document_ids": [id], "retrieval": "always" });
    let events = user.start_stream(&conversation, &body).await.read_to_end().await;
    assert_eq!(last_event_data(&events)["problem"]["code"], "model_unavailable", "{events:?}");
    assert!(heavy.requests().len() > heavy_requests, "the backend was tried");
    assert_eq!(spare.requests().len(), spare_requests, "the fallback was not used");
}

/// An error of LiteLLM's backend ends the run without revealing its text, and the next question is answered.
async fn assert_backend_errors_are_reported(app: &TestApp, heavy: &ModelServer, spare: &ModelServer) {
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    for status in [429, 400, 503] {
        heavy.queue_replies([Reply::Status(status)]);
        spare.queue_replies([Reply::Status(status)]);
        let body = json!({ "message": "Hello there.", "model": "heavy" });
        let events = user.start_stream(&conversation, &body).await.read_to_end().await;
        let name = events.last().map(|event| event.name.as_str());
        assert!(matches!(name, Some("error" | "run.finished")), "{status}: {events:?}");
        assert!(!format!("{events:?}").contains("secret-upstream-words"), "{status}: {events:?}");
    }
    assert_eq!(answer_text(&user.chat_events(&conversation, "Hello there.").await), "All well.");
}
