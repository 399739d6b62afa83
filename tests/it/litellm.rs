//! A real LiteLLM proxy between the platform and a scripted backend. `cargo xtask litellm` installs it and runs this
//! test; `cargo xtask test` skips it, because the installation is large.

use crate::support::app::{A, App, free_port};
use crate::support::caller::{Event, text};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually_within;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const KEY: &str = "sk-of-the-tests";

/// A LiteLLM proxy, which is killed when it is dropped.
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
        let process = Command::new(program())
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
        proxy.until_there().await;
        proxy
    }

    async fn until_there(&self) {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let expectation = format!("LiteLLM answers; its log is in {}", self._dir.path().display());
        eventually_within(Duration::from_secs(120), &expectation, || async {
            let alive = http.get(format!("{}/health/liveliness", self.url)).send().await;
            alive.is_ok_and(|answer| answer.status().is_success()).then_some(())
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
fn program() -> String {
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

fn last(events: &[Event]) -> &Value {
    &events.last().expect("events").data
}

/// One test for everything, because the proxy takes fifteen seconds to start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs LiteLLM: cargo xtask litellm"]
async fn a_litellm_proxy_serves_falls_back_is_forbidden_to_and_is_done_without() {
    let fast = ModelServer::always(Reply::Text(vec!["All ", "well."])).await;
    let heavy = ModelServer::always(Reply::Fail(500)).await;
    let spare = ModelServer::always(Reply::Text(vec!["By the spare one."])).await;
    let direct = ModelServer::always(Reply::Text(vec!["Without the proxy."])).await;
    let mut proxy = Proxy::start(&fast, &heavy, &spare).await;
    let file = tempfile::NamedTempFile::with_suffix_in(".toml", env!("CARGO_TARGET_TMPDIR")).expect("a file");
    std::fs::write(file.path(), settings(&proxy, &direct)).expect("write");
    let app = App::start(&[("PLATFORM_CONFIG", file.path().to_str().expect("UTF-8"))]).await;

    serves(&app).await;
    falls_back_and_is_forbidden_to(&app, &heavy, &spare).await;
    names_its_own_trouble(&app, &heavy, &spare).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    proxy.kill();
    let events = user.stream(&conversation, "Hello there.").await;
    assert_eq!(text(&events), "Without the proxy.");
    assert_eq!(last(&events)["fallback"], true);
}

fn settings(proxy: &Proxy, direct: &ModelServer) -> String {
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
async fn serves(app: &App) {
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let events = user.stream(&conversation, "Hello there.").await;
    assert_eq!(text(&events), "All well.");
    let end = last(&events);
    assert_eq!((&end["degraded"], &end["usage"]["input_tokens"]), (&json!(false), &json!(21)), "{end}");
    assert!(end["model"].as_str().is_some_and(|model| model.contains("everyday-7b")), "{end}");
    let usage = user.get("/v1/usage?group_by=backend").await.expect(200);
    // 21 tokens at one millionth and 7 tokens at two millionths, in LiteLLM's currency.
    assert_eq!(usage["groups"][0]["key"], "litellm", "{usage}");
    assert_eq!(usage["groups"][0]["cost"], 0.000_035, "{usage}");
}

/// LiteLLM's own fallback is reported as one; for confidential content the platform forbids it.
async fn falls_back_and_is_forbidden_to(app: &App, heavy: &ModelServer, spare: &ModelServer) {
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let ask = json!({ "message": "Hello there.", "model": "heavy" });
    let events = user.begin_stream(&conversation, &ask).await.rest().await;
    let end = last(&events);
    assert_eq!(text(&events), "By the spare one.");
    assert_eq!((&end["degraded"], &end["fallback"]), (&json!(true), &json!(true)), "{end}");
    assert!(end["model"].as_str().is_some_and(|model| model.contains("spare-7b")), "{end}");

    let secret = user.ingest("x-9300.md", &files::note("X-9300"), &[("classification", "confidential")]).await;
    let id = secret["id"].as_str().expect("an id");
    let (asked, by_spare) = (heavy.asked().len(), spare.asked().len());
    let message = "How often is the strainer of X-9300 cleaned?";
    let ask = json!({ "message": message, "model": "heavy", "document_ids": [id], "retrieval": "always" });
    let events = user.begin_stream(&conversation, &ask).await.rest().await;
    assert_eq!(last(&events)["problem"]["code"], "model_unavailable", "{events:?}");
    assert!(heavy.asked().len() > asked, "the backend was tried");
    assert_eq!(spare.asked().len(), by_spare, "the fallback was not used");
}

/// An error of LiteLLM's backend ends the run without showing upstream text, and the next question is answered.
async fn names_its_own_trouble(app: &App, heavy: &ModelServer, spare: &ModelServer) {
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    for status in [429, 400, 503] {
        heavy.next([Reply::Fail(status)]);
        spare.next([Reply::Fail(status)]);
        let ask = json!({ "message": "Hello there.", "model": "heavy" });
        let events = user.begin_stream(&conversation, &ask).await.rest().await;
        let name = events.last().map(|event| event.name.as_str());
        assert!(matches!(name, Some("error" | "run.finished")), "{status}: {events:?}");
        assert!(!format!("{events:?}").contains("secret-upstream-words"), "{status}: {events:?}");
    }
    assert_eq!(text(&user.stream(&conversation, "Hello there.").await), "All well.");
}
