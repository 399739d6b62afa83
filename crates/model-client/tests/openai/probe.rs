//! What the probe finds, and whether it says so in words that help.

use crate::support::settings;
use model_client::config::{BackendSettings, Dialect, EmbedSource, ModelSettings, RouteSettings};
use model_client::probe::{Finding, Severity, probe};
use serde_json::{Value, json};
use std::time::Duration;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const SSE: &str = "text/event-stream";

fn events(events: &[Value]) -> ResponseTemplate {
    let mut body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    body.push_str("data: [DONE]\n\n");
    ResponseTemplate::new(200).set_body_raw(body, SSE)
}

fn words() -> ResponseTemplate {
    events(&[
        json!({"model": "m-7b", "choices": [{"delta": {"content": "one "}}]}),
        json!({"choices": [{"delta": {"content": "two"}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}),
    ])
}

fn call() -> ResponseTemplate {
    let function = json!({"name": "read_level", "arguments": "{\"tank\": \"T-1\"}"});
    events(&[
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}}]}),
        json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
    ])
}

fn vectors(vector: &[f32]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"data": [{"index": 0, "embedding": vector}]}))
}

async fn has(server: &MockServer, models: &[&str]) {
    let list: Vec<_> = models.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({"object": "list", "data": list}));
    Mock::given(method("GET")).and(path("/v1/models")).respond_with(answer).mount(server).await;
}

async fn answers(server: &MockServer, at: &str, answer: ResponseTemplate) {
    Mock::given(method("POST")).and(path(at)).respond_with(answer).mount(server).await;
}

/// A server that does all that is asked of it.
async fn good(vector: &[f32]) -> MockServer {
    let server = MockServer::start().await;
    has(&server, &["fast", "heavy", "embed", "bge"]).await;
    let with_tools = body_partial_json(json!({"tools": [{"type": "function"}]}));
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(with_tools)
        .respond_with(call())
        .mount(&server)
        .await;
    answers(&server, "/v1/chat/completions", words()).await;
    answers(&server, "/v1/embeddings", vectors(vector)).await;
    let scores = json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]});
    answers(&server, "/v1/rerank", ResponseTemplate::new(200).set_body_json(scores)).await;
    server
}

fn of(server: &MockServer) -> ModelSettings {
    settings(server.uri().parse().expect("a URL"))
}

async fn found(settings: &ModelSettings) -> Vec<Finding> {
    probe(settings).await.expect("settings of use")
}

/// The sentences of this severity, with what they are about.
fn told(findings: &[Finding], severity: Severity) -> Vec<String> {
    let those = findings.iter().filter(|finding| finding.severity == severity);
    those.map(|finding| format!("{}: {}", finding.about, finding.sentence)).collect()
}

#[tokio::test]
async fn a_server_that_does_everything_is_found_good_in_everything() {
    let server = good(&[3.0, 4.0]).await;
    let findings = found(&of(&server)).await;
    let good = told(&findings, Severity::Ok);
    assert_eq!(good.len(), findings.len(), "{findings:?}");
    for wanted in
        ["4 models: bge, embed, fast, heavy", "m-7b answers", "it calls tools", "2 numbers a vector", "bge puts"]
    {
        assert!(good.iter().any(|sentence| sentence.contains(wanted)), "{wanted}: {good:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so_once() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let findings = found(&settings(format!("http://127.0.0.1:{port}").parse().expect("a URL"))).await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.sentence.contains("nothing listens at http://127.0.0.1:"), "{finding:?}");
}

#[tokio::test]
async fn a_key_that_is_not_accepted_and_a_model_that_is_not_there_name_the_remedy() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let wrong = told(&found(&of(&server)).await, Severity::Error);
    assert!(wrong.iter().all(|sentence| sentence.contains("api_key is not set")), "{wrong:?}");

    let server = MockServer::start().await;
    has(&server, &["llama3:latest"]).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let mut settings = of(&server);
    settings.backends[0].dialect = Dialect::Ollama;
    let findings = found(&settings).await;
    assert!(told(&findings, Severity::Ok)[0].contains("it answers, and has the model llama3:latest"), "{findings:?}");
    assert!(told(&findings, Severity::Error)[0].contains("ollama pull fast"), "{findings:?}");
}

#[tokio::test]
async fn no_tools_no_stream_and_no_count_of_tokens_are_warnings() {
    let server = MockServer::start().await;
    has(&server, &["fast"]).await;
    let whole = json!({"model": "m", "choices": [{"message": {"content": "one two"}, "finish_reason": "stop"}]});
    answers(&server, "/v1/chat/completions", ResponseTemplate::new(200).set_body_json(whole)).await;
    let mut settings = of(&server);
    settings.backends[0].dialect = Dialect::Vllm;
    settings.tiers.heavy.clear();
    settings.tiers.embed.clear();
    settings.tiers.rerank.clear();
    let findings = found(&settings).await;
    let warnings = told(&findings, Severity::Warning).join("\n");
    for wanted in ["does not stream", "does not count tokens", "--enable-auto-tool-choice"] {
        assert!(warnings.contains(wanted), "{wanted}: {warnings}");
    }
    assert!(told(&findings, Severity::Error).is_empty());
}

#[tokio::test]
async fn a_dimension_that_is_not_the_model_s_and_two_models_in_one_tier_are_errors() {
    let (one, other) = (good(&[3.0, 4.0]).await, good(&[4.0, -3.0]).await);
    let mut settings = of(&one);
    settings.embedding.dimension = Some(768);
    let wrong = told(&found(&settings).await, Severity::Error);
    assert!(wrong.len() == 1 && wrong[0].contains("2 numbers, not 768"), "{wrong:?}");

    settings.embedding.dimension = None;
    let second = BackendSettings::at("second", other.uri().parse().expect("a URL"));
    settings.backends.push(second);
    settings.tiers.embed.push(RouteSettings::to("second", "embed"));
    let wrong = told(&found(&settings).await, Severity::Error);
    assert!(wrong.len() == 1 && wrong[0].contains("they are different models"), "{wrong:?}");
}

#[tokio::test]
async fn a_server_that_does_not_embed_is_no_concern_where_the_embedded_model_does() {
    let server = good(&[3.0, 4.0]).await;
    let mut settings = of(&server);
    settings.embedding.source = Some(EmbedSource::Embedded);
    settings.tiers.embed[0].model = "not-there".to_owned();
    let findings = found(&settings).await;
    assert!(findings.iter().all(|finding| !finding.about.starts_with("embed")), "{findings:?}");
}

#[tokio::test]
async fn a_reranker_that_is_none_and_one_that_is_slow_are_warnings() {
    for (scores, delay, wanted) in
        [([0.9, 0.1], 0, "is it a reranking model?"), ([0.1, 0.9], 300, "a search waits for 100")]
    {
        let server = MockServer::start().await;
        has(&server, &["bge"]).await;
        let results = json!({"results": [{"index": 0, "relevance_score": scores[0]}, {"index": 1, "relevance_score": scores[1]}]});
        let answer = ResponseTemplate::new(200).set_body_json(results).set_delay(Duration::from_millis(delay));
        answers(&server, "/v1/rerank", answer).await;
        let mut settings = of(&server);
        settings.rerank.timeout = Duration::from_millis(100);
        settings.tiers = model_client::config::TierSettings { rerank: settings.tiers.rerank, ..Default::default() };
        let warnings = told(&found(&settings).await, Severity::Warning);
        assert!(warnings.len() == 1 && warnings[0].contains(wanted), "{warnings:?}");
    }
}
