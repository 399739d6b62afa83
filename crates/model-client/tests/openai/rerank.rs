//! Tests the reranker: its requests, and failures of the server or the connection.

use crate::support::{Action, ScriptedServer, caller, http_response, reranker_of, router, settings};
use domain::model::{ModelError, RerankRequest};
use domain::ports::Reranker;
use domain::role::Classification;
use model_client::config::ModelSettings;
use model_client::models;
use model_client::openai::OpenAiReranker;
use std::time::Duration;
use tokio::time::Instant;

const SCORES: &str = r#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.2}]}"#;

fn json_response(head: &str, body: &str) -> Action {
    Action::Send(http_response(head, "application/json", body.as_bytes()), 4096)
}

fn reranker(server: &ScriptedServer) -> OpenAiReranker {
    reranker_of(&server.settings())
}

fn request(classification: Classification) -> RerankRequest {
    let passages = vec!["the seal".to_owned(), "the valve".to_owned()];
    RerankRequest { caller: caller(), query: "Which valve?".to_owned(), passages, classification }
}

async fn rerank_scores(server: &ScriptedServer) -> Result<Vec<f32>, ModelError> {
    reranker(server).rerank(request(Classification::Internal)).await.map(|reranked| reranked.scores)
}

#[tokio::test]
async fn the_request_contains_model_query_and_passages_and_scores_keep_their_order() {
    let server = ScriptedServer::start(vec![json_response("200 OK", SCORES)]).await;
    assert_eq!(rerank_scores(&server).await, Ok(vec![0.2, 0.9]));
    let request_text = server.requests.lock().unwrap()[0].clone();
    let (head, body) = request_text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/rerank "), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "model": "bge", "query": "Which valve?", "documents": ["the seal", "the valve"], "top_n": 2,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn after_a_404_for_v1_rerank_only_rerank_is_requested() {
    let server =
        ScriptedServer::start(vec![json_response("404 Not Found", "{}"), json_response("200 OK", SCORES)]).await;
    let reranker = reranker(&server);
    for _ in 0..2 {
        assert!(reranker.rerank(request(Classification::Internal)).await.is_ok());
    }
    let paths: Vec<String> = server.requests.lock().unwrap().iter().map(|sent| sent[..16].to_owned()).collect();
    assert_eq!(paths, ["POST /v1/rerank ", "POST /rerank HTT", "POST /rerank HTT"]);
}

#[tokio::test]
async fn an_unknown_model_is_rejected_at_both_paths() {
    let server =
        ScriptedServer::start(vec![json_response("404 Not Found", r#"{"error":{"type":"not_found_error"}}"#)]).await;
    let error = rerank_scores(&server).await.unwrap_err();
    assert!(matches!(&error, ModelError::Misconfigured { reason, .. } if reason.contains("404")), "{error}");
    assert_eq!(server.request_count(), 2);
}

#[tokio::test]
async fn failures_are_classified_and_the_servers_messages_are_not_exposed() {
    let server = ScriptedServer::start(vec![json_response("200 OK", SCORES)]).await;
    let stopped_server_settings = settings(server.url.clone());
    drop(server);
    let result = reranker_of(&stopped_server_settings).rerank(request(Classification::Internal)).await;
    assert!(matches!(result, Err(ModelError::Unavailable { .. })), "{result:?}");

    let failing_server = ScriptedServer::start(vec![json_response("500 Internal Server Error", "{}")]).await;
    let result = rerank_scores(&failing_server).await;
    assert!(matches!(result, Err(ModelError::Unavailable { .. })), "{result:?}");

    let body = r#"{"error":{"message":"the code of the safe is 4711","type":"invalid_request_error"}}"#;
    let rejecting_server = ScriptedServer::start(vec![json_response("400 Bad Request", body)]).await;
    let error = rerank_scores(&rejecting_server).await.unwrap_err();
    assert!(matches!(error, ModelError::Refused { .. }) && !error.to_string().contains("4711"), "{error}");
}

#[tokio::test]
async fn a_hanging_server_times_out_even_in_the_middle_of_a_response() {
    let truncated_response = http_response("200 OK", "application/json", &SCORES.as_bytes()[..20]);
    for action in [Action::SendAndHang(Vec::new()), Action::SendAndHang(truncated_response)] {
        let server = ScriptedServer::start(vec![action]).await;
        let started = Instant::now();
        let result = rerank_scores(&server).await;
        assert!(matches!(result, Err(ModelError::Timeout { .. })), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "the limit is 0.9 s");
    }
}

#[tokio::test]
async fn invalid_responses_and_missing_scores_are_errors() {
    for body in ["<html>Sign in</html>", "null", "[]", "[0.1, 0.2]", "{}", r#"{"results": 7}"#, r#"{"results":[{}]}"#] {
        let server = ScriptedServer::start(vec![json_response("200 OK", body)]).await;
        let result = rerank_scores(&server).await;
        assert!(matches!(result, Err(ModelError::InvalidResponse { .. })), "{body}: {result:?}");
    }
    let endless_body = Action::Repeat(http_response("200 OK", "application/json", b"["), vec![b' '; 1 << 16]);
    let server = ScriptedServer::start(vec![endless_body]).await;
    let result = rerank_scores(&server).await;
    assert!(matches!(result, Err(ModelError::InvalidResponse { .. } | ModelError::Timeout { .. })), "{result:?}");
}

#[tokio::test]
async fn content_above_the_servers_classification_is_never_sent() {
    let server = ScriptedServer::start(vec![json_response("200 OK", SCORES)]).await;
    let mut settings = server.settings();
    settings.backends[0].highest_classification = Classification::Internal;
    let result = reranker_of(&settings).rerank(request(Classification::Restricted)).await;
    assert!(matches!(result, Err(ModelError::NotConfigured { .. })), "{result:?}");
    assert_eq!(server.request_count(), 0);
}

#[tokio::test]
async fn long_texts_are_truncated_and_passages_get_most_of_the_limit() {
    let server = ScriptedServer::start(vec![json_response("200 OK", SCORES)]).await;
    let mut settings = server.settings();
    settings.rerank.max_tokens = 60;
    let passages = vec!["seal ".repeat(200), "valve ".repeat(200)];
    let request = RerankRequest { query: "pump ".repeat(200), passages, ..request(Classification::Internal) };
    reranker_of(&settings).rerank(request).await.unwrap();
    let request_text = server.requests.lock().unwrap()[0].clone();
    let (pumps, seals) = (request_text.matches("pump").count(), request_text.matches("seal").count());
    assert!(pumps > 0 && seals > pumps && pumps + seals < 60, "{pumps} {seals}");
}

#[test]
fn without_routes_there_is_no_reranker_and_a_route_needs_a_known_backend() {
    let no_routes = ModelSettings::default();
    assert!(models::reranker(&router(&no_routes), &no_routes).unwrap().is_none());
    let mut settings = settings("http://127.0.0.1:9".parse().unwrap());
    let reranker = models::reranker(&router(&settings), &settings).unwrap();
    assert_eq!(reranker.map(|reranker| reranker.name()).as_deref(), Some("bge"));
    settings.tiers.rerank[0].backend = "elsewhere".to_owned();
    let error = models::reranker(&router(&settings), &settings).err().unwrap();
    assert!(error.to_string().contains("elsewhere"), "{error}");
}
