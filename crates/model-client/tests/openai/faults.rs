//! Tests the requests that the client sends, and how it reacts if the server splits its answer, fails or hangs.

use crate::support::{
    Action, ScriptedServer, chat_of, embed_request, embedder_of, event_stream, http_response, request,
    request_with_classification, router, settings,
};
use domain::model::{ChatDelta, ChatRequest, EmbedPurpose, ModelError, ModelTier};
use domain::ports::{ChatModel, Embedder};
use domain::role::Classification;
use futures::{StreamExt, TryStreamExt};
use model_client::config::{EmbedSource, ModelSettings};
use model_client::models;
use model_client::openai::OpenAiChat;
use secrecy::SecretString;
use std::time::Duration;
use tokio::time::Instant;

const WORD: &str = r#"{"model":"m1","choices":[{"delta":{"content":"Close "}}]}"#;
const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const VECTOR: &str = r#"{"data":[{"index":0,"embedding":[3.0,4.0]}]}"#;

fn complete_answer() -> Action {
    Action::Send(event_stream(&[WORD, STOP, "[DONE]"]), 4096)
}

fn failure_action(head: &str) -> Action {
    Action::Send(http_response(head, "application/json", b"{}"), 4096)
}

fn vectors_action(body: &str) -> Action {
    Action::Send(http_response("200 OK", "application/json", body.as_bytes()), 4096)
}

fn chat(server: &ScriptedServer) -> OpenAiChat {
    chat_of(&server.settings())
}

/// Sends a request; returns the text that arrived, and how the stream ended.
async fn run_chat(server: &ScriptedServer) -> (String, Result<(), ModelError>) {
    let mut received_text = String::new();
    let mut stream = match chat(server).stream(request()).await {
        Ok(stream) => stream,
        Err(error) => return (received_text, Err(error)),
    };
    while let Some(delta) = stream.deltas.next().await {
        match delta {
            Ok(ChatDelta::Text(text)) => received_text.push_str(&text),
            Ok(_) => {}
            Err(error) => return (received_text, Err(error)),
        }
    }
    (received_text, Ok(()))
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let server = ScriptedServer::start(vec![complete_answer()]).await;
    let stopped_server_settings = settings(server.url.clone());
    drop(server);
    let error = chat_of(&stopped_server_settings).stream(request()).await.err();
    assert!(matches!(error, Some(ModelError::Unavailable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_failing_or_overloaded_server_is_retried_twice() {
    for head in ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests\nretry-after: 0"] {
        let server = ScriptedServer::start(vec![failure_action(head), complete_answer()]).await;
        assert_eq!(run_chat(&server).await, ("Close ".to_owned(), Ok(())), "{head}");
        let server = ScriptedServer::start(vec![failure_action(head)]).await;
        assert!(matches!(run_chat(&server).await.1, Err(ModelError::Unavailable { .. })), "{head}");
        assert_eq!(server.request_count(), 3, "retried exactly twice: {head}");
    }
}

#[tokio::test]
async fn a_server_that_requests_a_long_pause_is_not_retried() {
    let server =
        ScriptedServer::start(vec![failure_action("429 Too Many Requests\nretry-after: 20"), complete_answer()]).await;
    let (_, result) = run_chat(&server).await;
    let pause = Some(Duration::from_secs(20));
    assert!(matches!(&result, Err(ModelError::Unavailable { retry_after, .. }) if *retry_after == pause), "{result:?}");
    assert_eq!(server.request_count(), 1);
}

#[tokio::test]
async fn a_rejected_request_is_not_retried_and_the_servers_message_is_not_exposed() {
    let body = br#"{"error":{"message":"bad prompt: the code of the safe is 4711","type":"invalid_request_error"}}"#;
    let server =
        ScriptedServer::start(vec![Action::Send(http_response("400 Bad Request", "application/json", body), 4096)])
            .await;
    let (_, result) = run_chat(&server).await;
    let error = result.unwrap_err();
    assert!(matches!(error, ModelError::Refused { .. }));
    assert!(!error.to_string().contains("4711"), "{error}");
    assert!(error.to_string().contains("invalid_request_error"), "{error}");
    assert_eq!(server.request_count(), 1);
}

#[tokio::test]
async fn a_silent_server_times_out_before_the_first_token() {
    let no_response = Action::SendAndHang(Vec::new());
    let only_headers = Action::SendAndHang(http_response("200 OK", "text/event-stream", b""));
    let only_a_role =
        Action::SendAndHang(event_stream(&[r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#]));
    for action in [no_response, only_headers, only_a_role] {
        let server = ScriptedServer::start(vec![action]).await;
        let started = Instant::now();
        let error = chat(&server).stream(request()).await.err();
        assert!(matches!(error, Some(ModelError::Timeout { .. })), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "the limit is 0.9 s");
        assert_eq!(server.request_count(), 1, "a request that timed out is not retried");
    }
}

#[tokio::test]
async fn a_server_that_stalls_times_out_between_tokens() {
    let server = ScriptedServer::start(vec![Action::SendAndHang(event_stream(&[WORD]))]).await;
    let (received_text, result) = run_chat(&server).await;
    assert_eq!(received_text, "Close ");
    assert!(matches!(result, Err(ModelError::Timeout { .. })), "{result:?}");
}

#[tokio::test]
async fn a_truncated_answer_keeps_its_text_and_is_not_retried() {
    let (length, end) = (WORD.len() + 8, "\r\n40\r\ndata: {\"cho");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{length:x}\r\ndata: {WORD}\n\n{end}");
    for action in [Action::Send(chunked.into_bytes(), 4096), Action::Send(event_stream(&[WORD]), 4096)] {
        let server = ScriptedServer::start(vec![action, complete_answer()]).await;
        let (received_text, result) = run_chat(&server).await;
        assert_eq!(received_text, "Close ");
        assert!(matches!(result, Err(ModelError::Interrupted { .. })), "{result:?}");
        assert_eq!(server.request_count(), 1);
    }
}

#[tokio::test]
async fn invalid_responses_are_reported_as_such() {
    let invalid_json = event_stream(&["{model: m1}"]);
    let invalid_utf8 = http_response("200 OK", "text/event-stream", b"data: \xff\xfe\n\n");
    let html_page = http_response("200 OK", "text/html", b"<html>Sign in</html>");
    for bytes in [invalid_json, invalid_utf8, html_page] {
        let server = ScriptedServer::start(vec![Action::Send(bytes, 4096)]).await;
        let (received_text, result) = run_chat(&server).await;
        assert_eq!(received_text, "");
        assert!(matches!(result, Err(ModelError::InvalidResponse { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn characters_split_across_packets_are_decoded() {
    let event = r#"{"choices":[{"delta":{"content":"95 °C – Überdruck 🔥"},"finish_reason":"stop"}]}"#;
    let server = ScriptedServer::start(vec![Action::Send(event_stream(&[event]), 1)]).await;
    assert_eq!(run_chat(&server).await, ("95 °C – Überdruck 🔥".to_owned(), Ok(())));
}

#[tokio::test]
async fn an_endless_answer_is_rejected() {
    let head = http_response("200 OK", "text/event-stream", b"");
    let endless_line = Action::Repeat([head.clone(), b"data: ".to_vec()].concat(), vec![b'a'; 1 << 16]);
    let long_event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "a".repeat(1 << 16));
    for action in [endless_line, Action::Repeat(head, long_event.into_bytes())] {
        let server = ScriptedServer::start(vec![action]).await;
        let (received_text, result) = run_chat(&server).await;
        assert!(received_text.len() <= 5 << 20, "{}", received_text.len());
        assert!(matches!(result, Err(ModelError::InvalidResponse { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn excess_requests_are_rejected_and_a_dropped_answer_releases_its_permit() {
    let server = ScriptedServer::start(vec![Action::SendAndHang(event_stream(&[WORD]))]).await;
    let mut settings = server.settings();
    settings.backends[0].concurrency = 1;
    let chat = chat_of(&settings);
    let first = chat.stream(request()).await.expect("a permit is free");
    let second = chat.stream(request()).await.err();
    assert!(matches!(second, Some(ModelError::NoBackendAvailable { retry_after: Some(_), .. })), "{second:?}");
    drop(first);
    assert!(chat.stream(request()).await.is_ok(), "the permit is free again");
}

#[tokio::test]
async fn the_request_contains_model_key_and_token_limit() {
    let server = ScriptedServer::start(vec![complete_answer()]).await;
    let mut settings = server.settings();
    settings.backends[0].api_key = Some(SecretString::from("sk-plant"));
    settings.tiers.heavy[0].model = "qwen-72b".to_owned();
    assert!(!format!("{settings:?}").contains("sk-plant"));
    let heavy_request = ChatRequest { tier: ModelTier::Heavy, ..request() };
    chat_of(&settings).stream(heavy_request).await.unwrap();
    let request_text = server.requests.lock().unwrap()[0].clone();
    let (head, body) = request_text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer sk-plant"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&"qwen-72b".into(), &256.into()));
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["messages"][1]["content"], "Which valve?");
}

#[tokio::test]
async fn a_server_that_requires_max_completion_tokens_gets_it_from_then_on() {
    let error_body =
        br#"{"error":{"message":"Unsupported parameter","param":"max_tokens","code":"unsupported_parameter"}}"#;
    let rejection = Action::Send(http_response("400 Bad Request", "application/json", error_body), 4096);
    let server = ScriptedServer::start(vec![rejection, complete_answer()]).await;
    let chat = chat(&server);
    for _ in 0..2 {
        assert!(chat.stream(request()).await.is_ok());
    }
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert!(
        requests[1..]
            .iter()
            .all(|body| body.contains("\"max_completion_tokens\":256") && !body.contains("\"max_tokens\""))
    );
}

#[tokio::test]
async fn content_above_the_servers_classification_is_never_sent() {
    let server = ScriptedServer::start(vec![complete_answer()]).await;
    let mut settings = server.settings();
    settings.backends[0].highest_classification = Classification::Internal;
    let confidential_request = request_with_classification(Classification::Confidential);
    let error = chat_of(&settings).stream(confidential_request).await.err();
    assert!(matches!(error, Some(ModelError::NotConfigured { .. })), "{error:?}");
    assert_eq!(server.request_count(), 0);
}

#[tokio::test]
async fn an_embedder_starts_without_its_server_and_learns_the_dimension_later() {
    let server = ScriptedServer::start(vec![failure_action("404 Not Found"), vectors_action(VECTOR)]).await;
    let embedder = {
        let settings = server.settings();
        models::embedder(&router(&settings), &settings).await
    }
    .expect("startup continues");
    assert_eq!(embedder.model().dimension, 0);
    let response = embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.unwrap();
    assert_eq!(response.vectors, [[0.6, 0.8]]);
    assert_eq!((embedder.model().name.as_str(), embedder.model().dimension), ("embed-2", 2));
}

#[tokio::test]
async fn vectors_of_an_unexpected_dimension_are_invalid() {
    let three_numbers = r#"{"data":[{"index":0,"embedding":[1.0,0.0,0.0]}]}"#;
    let server = ScriptedServer::start(vec![vectors_action(VECTOR), vectors_action(three_numbers)]).await;
    let embedder = embedder_of(&server.settings()).await;
    let error = embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.unwrap_err();
    assert!(matches!(error, ModelError::InvalidResponse { .. }), "{error}");
    let mut settings = server.settings();
    settings.embedding.dimension = Some(768);
    let embedder = embedder_of(&settings).await;
    let error = embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.unwrap_err();
    assert!(matches!(error, ModelError::InvalidResponse { .. }), "{error}");
}

#[tokio::test]
async fn texts_are_sent_in_batches_with_prefixes_and_truncated() {
    let server = ScriptedServer::start(vec![vectors_action(VECTOR)]).await;
    let mut settings = server.settings();
    settings.embedding.dimension = Some(2);
    settings.embedding.max_batch_size = 1;
    settings.embedding.max_tokens = 40;
    settings.embedding.query_prefix = "search_query: ".to_owned();
    settings.embedding.document_prefix = "search_document: ".to_owned();
    let embedder = embedder_of(&settings).await;
    let long = "valve ".repeat(100);
    embedder.embed(embed_request(EmbedPurpose::Document, &["seal", &long])).await.unwrap();
    embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.unwrap();
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert!(requests[0].contains(r#"["search_document: seal"]"#), "{}", requests[0]);
    assert!(requests[1].matches("valve").count() < 20, "{}", requests[1]);
    assert!(requests[2].contains(r#"["search_query: seal"]"#), "{}", requests[2]);
}

#[tokio::test]
async fn without_backends_answers_are_extractive_and_remote_embeddings_are_an_error() {
    let mut settings = ModelSettings::default();
    let chat = models::chat_model(&router(&settings), &settings).unwrap();
    assert!(!chat.is_language_model());
    let stream = chat.stream(request()).await.unwrap();
    assert_eq!(stream.served_by.model, "extractive");
    assert!(stream.deltas.try_collect::<Vec<_>>().await.is_ok());
    settings.embedding.source = Some(EmbedSource::Remote);
    assert!(models::embedder(&router(&settings), &settings).await.is_err());
}
