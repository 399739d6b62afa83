//! Open WebUI, unmodified, in a browser: `tests/open-webui/browser.py` types a question and prints what the page shows.
//! `cargo xtask open-webui` runs these tests.

use crate::support::app::{TENANT_A, TestApp, free_port};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use crate::support::python;
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;

const QUESTION: &str = "How often is the strainer of X-9001 cleaned?";
/// Settings with which Open WebUI starts offline, without a login, and without the packages that its slim image omits.
const OFFLINE_SETTINGS: &[(&str, &str)] = &[
    ("USE_SLIM_DOCKER", "true"),
    ("OFFLINE_MODE", "true"),
    ("HF_HUB_OFFLINE", "1"),
    ("ENABLE_VERSION_UPDATE_CHECK", "false"),
    ("ANONYMIZED_TELEMETRY", "false"),
    ("DO_NOT_TRACK", "true"),
    ("RAG_EMBEDDING_ENGINE", "openai"),
    ("ENABLE_OLLAMA_API", "false"),
    ("WEBUI_AUTH", "false"),
    ("WEBUI_SECRET_KEY", "of-a-test"),
    ("DEFAULT_MODELS", "auto"),
];

/// A running Open WebUI, connected to a platform with the token of a user. Dropping it kills the process.
struct OpenWebUi {
    url: String,
    dir: TempDir,
    _process: Child,
}

impl OpenWebUi {
    async fn start(app: &TestApp, extra_settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        let port = free_port().to_string();
        let log = std::fs::File::create(dir.path().join("open-webui.log")).expect("a log");
        let mut command = python::program_beside(&open_webui_python(), "open-webui");
        command.args(["serve", "--host", "127.0.0.1", "--port", &port]);
        command.envs(OFFLINE_SETTINGS.iter().copied()).envs(extra_settings.iter().copied());
        command.env("OPENAI_API_BASE_URL", format!("{}/openai/v1", app.base_url));
        command.env("OPENAI_API_KEY", app.token(TENANT_A, "uma", Role::User));
        command.env("DATA_DIR", dir.path()).env("HOME", dir.path()).env_remove("DATABASE_URL").current_dir(dir.path());
        command.stdout(log.try_clone().expect("the log")).stderr(Stdio::from(log));
        let process = command.spawn().expect("Open WebUI starts");
        let ui = Self { url: format!("http://127.0.0.1:{port}"), dir, _process: process };
        ui.wait_until_ready(&app.http).await;
        ui
    }

    async fn wait_until_ready(&self, http: &reqwest::Client) {
        let expectation = format!("Open WebUI answers; its log is in {}", self.dir.path().display());
        eventually_within(Duration::from_secs(180), &expectation, || async {
            let health = http.get(format!("{}/health", self.url)).send().await;
            health.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    /// Asks a question in the browser and returns what the page shows. Leaves a screenshot in `target/tmp`.
    async fn ask(&self, question: &str, screenshot: &str) -> Value {
        let screenshot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(screenshot);
        let mut command = python::script(&open_webui_python(), "open-webui/browser.py");
        command
            .arg(python::required_var("PLATFORM_TEST_CHROMIUM", SETUP_COMMAND))
            .args([&self.url, question])
            .arg(screenshot);
        let page_content = python::output(command, question, Duration::from_secs(300)).await;
        serde_json::from_str(&page_content).expect("JSON")
    }
}

const SETUP_COMMAND: &str = "cargo xtask open-webui";

fn open_webui_python() -> String {
    python::required_var("PLATFORM_TEST_OPEN_WEBUI_PYTHON", SETUP_COMMAND)
}

/// Asserts that each citation marker of the answer opens the source that supports it.
fn assert_cited(page_content: &Value, markers: usize) {
    let text = page_content["text"].as_str().expect("a text");
    assert!(text.contains("14 days"), "{page_content}");
    let shown = page_content["markers"].as_array().expect("markers");
    assert_eq!(shown.len(), markers, "{page_content}");
    for marker in shown {
        assert!(
            marker["quote"].as_str().is_some_and(|quote| quote.contains("cleaned every 14 days")),
            "{page_content}"
        );
    }
}

/// Names of the tools in a request to the model.
fn tools(request: &Value) -> Vec<&str> {
    request["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["function"]["name"].as_str()).collect()
}

#[tokio::test]
#[ignore = "needs Open WebUI and Chromium: cargo xtask open-webui"]
async fn a_first_question_is_answered_from_the_documents_without_a_language_model() {
    let app = TestApp::start(&[]).await;
    let user = app.as_user(TENANT_A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let ui = OpenWebUi::start(&app, &[]).await;
    let page_content = ui.ask(QUESTION, "open-webui-extractive.png").await;
    assert_cited(&page_content, 1);
    assert_eq!(page_content["sources"], 1, "{page_content}");
    let conversations = user.get("/v1/conversations").await.expect_json(200);
    assert_eq!(
        conversations["data"].as_array().map(Vec::len),
        Some(1),
        "requests for titles and tags are not stored as turns: {conversations}"
    );
}

#[tokio::test]
#[ignore = "needs Open WebUI and Chromium: cargo xtask open-webui"]
async fn a_model_calls_the_clients_tools_and_the_sources_of_the_answer_are_shown() {
    let tool_call = Reply::ToolCall("get_current_timestamp", "{}");
    // The second source is cited first: its marker must not open the first one.
    let answer = Reply::Text(vec!["It is cleaned every 14 days [", "2]. The", " other one, too [1]."]);
    let model = ModelServer::start([tool_call, answer]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url), ("PLATFORM__CHAT__CONTEXT_TOKENS", "65536")]).await;
    let user = app.as_user(TENANT_A);
    for name in ["X-9001", "X-9002"] {
        user.ingest(&format!("{name}.md"), &files::note(name), &[]).await;
    }
    let no_tasks = [
        ("ENABLE_TITLE_GENERATION", "false"),
        ("ENABLE_TAGS_GENERATION", "false"),
        ("ENABLE_FOLLOW_UP_GENERATION", "false"),
    ];
    let ui = OpenWebUi::start(&app, &no_tasks).await;
    let page_content = ui.ask(QUESTION, "open-webui-tools.png").await;
    assert_cited(&page_content, 2);
    let titles: Vec<_> =
        (0..2).map(|index| page_content["markers"][index]["title"].as_str().expect("a title")).collect();
    assert!(titles[0].contains("X-9002") && titles[1].contains("X-9001"), "{page_content}");
    let requests = model.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(tools(&requests[0]).contains(&"rag_search") && tools(&requests[0]).len() > 30, "{:?}", tools(&requests[0]));
    let result = requests[1]["messages"].as_array().and_then(|messages| messages.last()).expect("a result");
    assert_eq!(result["role"], "tool", "{result}");
    assert!(result["content"].as_str().is_some_and(|text| text.contains("current_timestamp")), "{result}");
}

#[tokio::test]
#[ignore = "needs Open WebUI and Chromium: cargo xtask open-webui"]
async fn titles_and_tags_are_requested_directly_from_the_model() {
    let model = ModelServer::start_with_default(Reply::Text(vec![
        r#"{"title": "14 days", "tags": ["X"], "follow_ups": ["Why?"]}"#,
    ]))
    .await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let ui = OpenWebUi::start(&app, &[]).await;
    ui.ask(QUESTION, "open-webui-titles.png").await;
    let is_task =
        |request: &Value| request["messages"][0]["content"].as_str().is_some_and(|text| text.starts_with("### Task:"));
    let expectation = "Open WebUI requests a title, tags and follow-up questions";
    eventually_within(Duration::from_secs(60), expectation, || async {
        (model.requests().iter().filter(|request| is_task(request)).count() == 3).then_some(())
    })
    .await;
    for task in model.requests().iter().filter(|request| is_task(request)) {
        assert_eq!(task["messages"].as_array().map(Vec::len), Some(1), "the platform adds no message: {task}");
        assert_eq!(task["tools"], Value::Null, "{task}");
    }
    let conversations = user.get("/v1/conversations").await.expect_json(200);
    assert_eq!(conversations["data"].as_array().map(Vec::len), Some(1), "{conversations}");
    assert_ne!(conversations["data"][0]["id"], json!(null));
}
