//! The traces that the server sends to a collector, and its log. The span of the model call belongs to the request's
//! span and follows the GenAI semantic conventions. Neither traces nor logs contain content or secrets, except for
//! traces if `telemetry.record_content` is set.

#![expect(
    clippy::expect_used,
    reason = "a failed expectation fails the test; clippy exempts only #[test] functions, not helpers"
)]

use data::testing::TestDb;
use domain::role::Role;
use fakes::eventually_within;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use platform_server::config::{Environment, Settings};
use platform_server::dev::DevelopmentPlatform;
use platform_server::dev::issuer::TokenSubject;
use prost::Message as _;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Time for the program to start, in debug builds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_platform-server");
const QUESTION: &str = "Is the secret-question valve open?";
const ANSWER: &str = "The secret-answer valve is closed.";
const SECRET_KEY: &str = "a secret of the tests of traces";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "cargo xtask test passes settings to the tests as variables")]
fn model_dir() -> String {
    std::env::var("PLATFORM_TEST_MODEL_DIR").unwrap_or_default()
}

/// Starts a mock server that is both model server and trace collector.
async fn start_mock_server() -> MockServer {
    let server = MockServer::start().await;
    let chunk =
        json!({ "model": "served-7b", "choices": [{ "delta": { "content": ANSWER }, "finish_reason": "stop" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 21, "completion_tokens": 7 } });
    let body = format!("data: {chunk}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    let stream = ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
    Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(stream).mount(&server).await;
    Mock::given(method("POST")).and(path("/v1/traces")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

/// Telemetry of a chat turn over HTTP.
struct ObservedTurn {
    spans: Vec<Span>,
    /// Everything that the server wrote to stdout and stderr.
    log: String,
    token: String,
}

/// Runs a chat turn over HTTP with these additional settings.
async fn observe_turn(extra_variables: &[(&str, &str)]) -> ObservedTurn {
    platform_server::install_crypto_provider();
    let (db, mock) = (TestDb::create().await.expect("a database"), start_mock_server().await);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let port =
        TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port().to_string();
    let in_dir = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (app, worker, auditor, model) = (db.app_url(), db.worker_url(), db.auditor_url(), model_dir());
    let (blobs, issuer, url) = (in_dir("blobs"), in_dir("issuer"), mock.uri());
    let mut variables = vec![
        ("DATABASE_URL", app.as_str()),
        ("DATABASE_WORKER_URL", &worker),
        ("DATABASE_AUDIT_URL", &auditor),
        ("SECRET_KEY", SECRET_KEY),
        ("LITELLM_BASE_URL", &url),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("PLATFORM__MODE", "development"),
        ("PLATFORM__SERVER__PORT", &port),
        ("PLATFORM__SERVER__METRICS_PORT", "0"),
        ("PLATFORM__STORAGE__DIR", &blobs),
        ("PLATFORM__AUTH__DEV_ISSUER_DIR", &issuer),
        ("PLATFORM__MODELS__EMBEDDED_DIR", &model),
        ("PLATFORM__MODELS__EMBED_SOURCE", "embedded"),
    ];
    variables.extend_from_slice(extra_variables);
    let settings = Settings::load(None, &Environment::from_pairs(&variables)).expect("valid settings");
    let development = DevelopmentPlatform::open(settings).await.expect("the platform opens");
    let token = development
        .token("plant", &TokenSubject::new("uma", Role::User), Duration::from_secs(600))
        .await
        .expect("a token");
    let mut program = Command::new(PROGRAM);
    let log_path = dir.path().join("log");
    let log = std::fs::File::create(&log_path).expect("a file");
    program.arg("serve").stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
    let _server = Server(program.envs(variables).spawn().expect("the program starts"));
    chat(&format!("http://127.0.0.1:{port}"), &token).await;
    let spans = received_spans(&mock).await;
    let log = std::fs::read_to_string(&log_path).expect("a readable log");
    ObservedTurn { spans, log, token }
}

async fn chat(base: &str, token: &str) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    eventually_within(START_TIMEOUT, "the program is ready", || async {
        let ready = http.get(format!("{base}/ready")).send().await;
        ready.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
    let ask = async |path: String, body: Value| {
        let request = http.post(format!("{base}{path}")).bearer_auth(token).json(&body);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
        answer.json::<Value>().await.expect("JSON")
    };
    let created = ask("/v1/conversations".to_owned(), json!({})).await;
    let path = format!("/v1/conversations/{}/chat", created["id"].as_str().expect("an id"));
    let answer = ask(path, json!({ "message": QUESTION, "stream": false, "retrieval": "never" })).await;
    assert_eq!(answer["content"], ANSWER);
}

/// Waits until the collector has received the spans of the request and of its run, which end after all that they call;
/// returns all spans so far.
async fn received_spans(collector: &MockServer) -> Vec<Span> {
    eventually_within(EXPORT_TIMEOUT, "the span of the request was received", || async {
        let requests = collector.received_requests().await.unwrap_or_default();
        let exports = requests.iter().filter(|request| request.url.path() == "/v1/traces");
        let decoded = exports.map(|request| ExportTraceServiceRequest::decode(request.body.as_slice()).expect("OTLP"));
        let scope_spans = decoded.flat_map(|export| export.resource_spans).flat_map(|resource| resource.scope_spans);
        let spans: Vec<Span> = scope_spans.flat_map(|scope| scope.spans).collect();
        let has = |part: &str| spans.iter().any(|span| span.name.contains(part));
        (has("/chat") && has("invoke_agent")).then_some(spans)
    })
    .await
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    format!("{:?}", found.and_then(|attribute| attribute.value.as_ref()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_model_call_belongs_to_its_request_and_has_no_content() {
    let ObservedTurn { spans, .. } = observe_turn(&[]).await;
    let call = spans.iter().find(|span| span.name == "chat fast").expect("the span of the model call");
    let parent_of = |child: &Span| spans.iter().find(|span| span.span_id == child.parent_span_id);
    let run = parent_of(call).expect("the span of the run was exported, too");
    assert_eq!(run.name, "invoke_agent assistant");
    let request = parent_of(run).expect("the span of the request was exported, too");
    assert_eq!(request.name, "POST /v1/conversations/{id}/chat");
    assert_eq!((&request.trace_id, &run.trace_id), (&call.trace_id, &call.trace_id));
    assert!(attribute(request, "http.response.status_code").contains("200"), "{request:?}");
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "litellm"),
        ("gen_ai.request.model", "fast"),
        ("gen_ai.response.model", "served-7b"),
        ("gen_ai.usage.input_tokens", "21"),
        ("gen_ai.usage.output_tokens", "7"),
        ("gen_ai.response.finish_reasons", "stop"),
    ] {
        assert!(attribute(call, key).contains(value), "{key}: {call:?}");
    }
    let all = format!("{spans:?}");
    assert!(!all.contains("secret-question") && !all.contains("secret-answer"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_have_content_if_record_content_is_set() {
    let ObservedTurn { spans, .. } = observe_turn(&[("PLATFORM__TELEMETRY__RECORD_CONTENT", "true")]).await;
    let call = spans.iter().find(|span| span.name == "chat fast").expect("the span of the model call");
    assert!(attribute(call, "gen_ai.input.messages").contains("secret-question"), "{call:?}");
    assert!(attribute(call, "gen_ai.output.messages").contains("secret-answer"), "{call:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_requests_but_neither_content_nor_secrets() {
    for extra_variables in [&[][..], &[("RUST_LOG", "debug")], &[("PLATFORM__TELEMETRY__RECORD_CONTENT", "true")]] {
        let ObservedTurn { log, token, .. } = observe_turn(extra_variables).await;
        assert!(log.contains("request served") && log.contains("/v1/conversations/{id}/chat"), "no request in: {log}");
        for hidden in ["secret-question", "secret-answer", SECRET_KEY, token.as_str()] {
            assert!(!log.contains(hidden), "{hidden} is in the log with {extra_variables:?}");
        }
    }
}
