//! Tests the findings of the probe and the advice in them.

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

fn text_answer() -> ResponseTemplate {
    events(&[
        json!({"model": "m-7b", "choices": [{"delta": {"content": "one "}}]}),
        json!({"choices": [{"delta": {"content": "two"}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}),
    ])
}

fn tool_call_answer() -> ResponseTemplate {
    let function = json!({"name": "read_level", "arguments": "{\"tank\": \"T-1\"}"});
    events(&[
        json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}}]}),
        json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
    ])
}

fn embeddings_response(vector: &[f32]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"data": [{"index": 0, "embedding": vector}]}))
}

async fn mount_model_list(server: &MockServer, models: &[&str]) {
    let list: Vec<_> = models.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({"object": "list", "data": list}));
    Mock::given(method("GET")).and(path("/v1/models")).respond_with(answer).mount(server).await;
}

async fn mount_response(server: &MockServer, endpoint: &str, answer: ResponseTemplate) {
    Mock::given(method("POST")).and(path(endpoint)).respond_with(answer).mount(server).await;
}

/// A server whose models support everything that their tiers need.
async fn working_server(vector: &[f32]) -> MockServer {
    let server = MockServer::start().await;
    mount_model_list(&server, &["fast", "heavy", "embed", "bge"]).await;
    let with_tools = body_partial_json(json!({"tools": [{"type": "function"}]}));
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(with_tools)
        .respond_with(tool_call_answer())
        .mount(&server)
        .await;
    mount_response(&server, "/v1/chat/completions", text_answer()).await;
    mount_response(&server, "/v1/embeddings", embeddings_response(vector)).await;
    let scores = json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]});
    mount_response(&server, "/v1/rerank", ResponseTemplate::new(200).set_body_json(scores)).await;
    server
}

fn server_settings(server: &MockServer) -> ModelSettings {
    settings(server.uri().parse().expect("a URL"))
}

async fn probe_findings(settings: &ModelSettings) -> Vec<Finding> {
    probe(settings).await.expect("valid settings")
}

/// The findings of this severity as `subject: message`.
fn messages_of_severity(findings: &[Finding], severity: Severity) -> Vec<String> {
    let matching = findings.iter().filter(|finding| finding.severity == severity);
    matching.map(|finding| format!("{}: {}", finding.subject, finding.message)).collect()
}

#[tokio::test]
async fn a_working_server_has_only_good_findings() {
    let server = working_server(&[3.0, 4.0]).await;
    let findings = probe_findings(&server_settings(&server)).await;
    let ok_messages = messages_of_severity(&findings, Severity::Ok);
    assert_eq!(ok_messages.len(), findings.len(), "{findings:?}");
    for expected in ["4 models: bge, embed, fast, heavy", "m-7b answers", "it calls tools", "2 dimensions", "bge ranks"]
    {
        assert!(ok_messages.iter().any(|sentence| sentence.contains(expected)), "{expected}: {ok_messages:?}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_reported_once() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let findings = probe_findings(&settings(format!("http://127.0.0.1:{port}").parse().expect("a URL"))).await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.message.contains("nothing listens at http://127.0.0.1:"), "{finding:?}");
}

#[tokio::test]
async fn findings_about_a_rejected_key_or_an_unknown_model_say_what_to_change() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let errors = messages_of_severity(&probe_findings(&server_settings(&server)).await, Severity::Error);
    assert!(errors.iter().all(|sentence| sentence.contains("api_key is not set")), "{errors:?}");

    let server = MockServer::start().await;
    mount_model_list(&server, &["llama3:latest"]).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let mut settings = server_settings(&server);
    settings.backends[0].dialect = Dialect::Ollama;
    let findings = probe_findings(&settings).await;
    assert!(
        messages_of_severity(&findings, Severity::Ok)[0].contains("it answers, and has the model llama3:latest"),
        "{findings:?}"
    );
    assert!(messages_of_severity(&findings, Severity::Error)[0].contains("ollama pull fast"), "{findings:?}");
}

#[tokio::test]
async fn missing_tools_streaming_and_token_counts_are_warnings() {
    let server = MockServer::start().await;
    mount_model_list(&server, &["fast"]).await;
    let complete_answer =
        json!({"model": "m", "choices": [{"message": {"content": "one two"}, "finish_reason": "stop"}]});
    mount_response(&server, "/v1/chat/completions", ResponseTemplate::new(200).set_body_json(complete_answer)).await;
    let mut settings = server_settings(&server);
    settings.backends[0].dialect = Dialect::Vllm;
    settings.tiers.heavy.clear();
    settings.tiers.embed.clear();
    settings.tiers.rerank.clear();
    let findings = probe_findings(&settings).await;
    let warnings = messages_of_severity(&findings, Severity::Warning).join("\n");
    for expected in ["does not stream", "does not report token usage", "--enable-auto-tool-choice"] {
        assert!(warnings.contains(expected), "{expected}: {warnings}");
    }
    assert!(messages_of_severity(&findings, Severity::Error).is_empty());
}

#[tokio::test]
async fn a_wrong_dimension_and_two_models_in_one_tier_are_errors() {
    let (first_server, second_server) = (working_server(&[3.0, 4.0]).await, working_server(&[4.0, -3.0]).await);
    let mut settings = server_settings(&first_server);
    settings.embedding.dimension = Some(768);
    let errors = messages_of_severity(&probe_findings(&settings).await, Severity::Error);
    assert!(errors.len() == 1 && errors[0].contains("2 dimensions, expected 768"), "{errors:?}");

    settings.embedding.dimension = None;
    let second = BackendSettings::new("second", second_server.uri().parse().expect("a URL"));
    settings.backends.push(second);
    settings.tiers.embed.push(RouteSettings::new("second", "embed"));
    let errors = messages_of_severity(&probe_findings(&settings).await, Severity::Error);
    assert!(errors.len() == 1 && errors[0].contains("they serve different models"), "{errors:?}");
}

#[tokio::test]
async fn the_embed_tier_is_not_probed_if_the_in_process_model_is_configured() {
    let server = working_server(&[3.0, 4.0]).await;
    let mut settings = server_settings(&server);
    settings.embedding.source = Some(EmbedSource::InProcess);
    settings.tiers.embed[0].model = "not-there".to_owned();
    let findings = probe_findings(&settings).await;
    assert!(findings.iter().all(|finding| !finding.subject.starts_with("embed")), "{findings:?}");
}

#[tokio::test]
async fn a_wrong_reranker_and_a_slow_one_are_warnings() {
    for (scores, delay, expected) in
        [([0.9, 0.1], 0, "is it a reranking model?"), ([0.1, 0.9], 300, "longer than the 100 ms timeout")]
    {
        let server = MockServer::start().await;
        mount_model_list(&server, &["bge"]).await;
        let result = |index: usize| json!({"index": index, "relevance_score": scores[index]});
        let results = json!({"results": [result(0), result(1)]});
        let answer = ResponseTemplate::new(200).set_body_json(results).set_delay(Duration::from_millis(delay));
        mount_response(&server, "/v1/rerank", answer).await;
        let mut settings = server_settings(&server);
        settings.rerank.timeout = Duration::from_millis(100);
        settings.tiers = model_client::config::TierSettings { rerank: settings.tiers.rerank, ..Default::default() };
        let warnings = messages_of_severity(&probe_findings(&settings).await, Severity::Warning);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
    }
}
