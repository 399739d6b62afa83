//! Replays recorded responses of real servers (`testdata/wire`) and compares the results with the `.want.json` files.

use crate::support::{
    Action, ScriptedServer, caller, chat_of, embed_request, embedder_of, http_response, request, reranker_of,
};
use domain::model::{ChatDelta, EmbedPurpose, ModelError, RerankRequest};
use domain::ports::{ChatModel, Embedder, Reranker};
use domain::role::Classification;
use futures::StreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bytes sent at a time: shorter than a line, and odd, so that most two-byte characters are split somewhere.
const CHUNK_BYTES: usize = 7;

fn recorded_cases(extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/wire");
    let folders = std::fs::read_dir(root).expect("the folder").flatten().filter(|entry| entry.path().is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).expect("a folder").flatten());
    let name = |path: &PathBuf| path.to_string_lossy().into_owned();
    let mut found: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    found.retain(|path| name(path).ends_with(extension) && !name(path).ends_with(".want.json"));
    found.sort();
    found
}

/// The cases that are a single JSON document: those whose name starts with `kind`, or the chats if `kind` is empty.
fn json_documents(kind: &str) -> Vec<PathBuf> {
    let name = |case: &PathBuf| case.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_chat = |name: &str| !["embed-", "rerank-"].iter().any(|kind| name.starts_with(kind));
    let mut found = recorded_cases(".json");
    found.retain(|case| if kind.is_empty() { is_chat(&name(case)) } else { name(case).starts_with(kind) });
    found
}

async fn server_for(case: &Path, content_type: &str) -> ScriptedServer {
    let body = std::fs::read(case).expect("the case");
    let head = std::fs::read_to_string(case.with_extension("head")).unwrap_or_else(|_| "200 OK".to_owned());
    ScriptedServer::start(vec![Action::Send(http_response(&head, content_type, &body), CHUNK_BYTES)]).await
}

fn expected_result(case: &Path) -> Value {
    let text = std::fs::read_to_string(case.with_extension("want.json")).expect("the expected result");
    serde_json::from_str(&text).expect("JSON")
}

fn record_error(actual: &mut Value, error: &ModelError) {
    actual["error"] = json!(error.error_type());
    if let ModelError::Unavailable { retry_after: Some(pause), .. } = error {
        actual["retry_after_s"] = json!(pause.as_secs());
    }
}

/// Runs a chat and returns the result in the form of a `.want.json` file.
async fn run_chat(server: &ScriptedServer) -> Value {
    let chat = chat_of(&server.settings());
    let mut actual = json!({ "text": "", "tool_calls": [] });
    let mut stream = match chat.stream(request()).await {
        Ok(stream) => stream,
        Err(error) => {
            record_error(&mut actual, &error);
            return actual;
        }
    };
    actual["model"] = json!(stream.served_by.model);
    actual["fallback"] = json!(stream.served_by.fallback);
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut calls = Vec::new();
    while let Some(delta) = stream.deltas.next().await {
        assert!(actual.get("finish_reason").is_none() && actual.get("error").is_none(), "no delta follows the end");
        match delta {
            Ok(ChatDelta::Text(piece)) => text.push_str(&piece),
            Ok(ChatDelta::ToolCall(call)) => {
                calls.push(json!({ "id": call.id, "name": call.name, "arguments": call.arguments }));
            }
            Ok(ChatDelta::Reasoning(piece)) => reasoning.push_str(&piece),
            Ok(ChatDelta::Finished { reason, usage, tokens_estimated: estimated, cost }) => {
                actual["finish_reason"] = json!(reason);
                actual["estimated"] = json!(estimated);
                actual["cost"] = json!(cost);
                actual["usage"] = json!([usage.input_tokens, usage.output_tokens]);
            }
            Err(error) => record_error(&mut actual, &error),
        }
    }
    actual["text"] = json!(text);
    actual["reasoning"] = json!(reasoning);
    actual["tool_calls"] = json!(calls);
    actual
}

fn assert_has(case: &Path, actual: &Value, expected: &Value) {
    for (name, expected_value) in expected.as_object().expect("an object") {
        assert_eq!(actual.get(name), Some(expected_value), "{name} of {}: {actual}", case.display());
    }
    assert_eq!(actual.get("error").is_some(), expected.get("error").is_some(), "{}: {actual}", case.display());
}

#[tokio::test]
async fn every_recorded_stream_gives_the_expected_answer() {
    let cases = recorded_cases(".sse");
    assert!(cases.len() > 15, "too few cases");
    for case in cases {
        let server = server_for(&case, "text/event-stream").await;
        assert_has(&case, &run_chat(&server).await, &expected_result(&case));
    }
}

#[tokio::test]
async fn every_recorded_document_gives_the_expected_answer_or_error() {
    for case in &json_documents("") {
        let server = server_for(case, "application/json").await;
        assert_has(case, &run_chat(&server).await, &expected_result(case));
    }
}

#[tokio::test]
async fn every_recorded_embedding_gives_vectors_of_length_1_or_an_error() {
    for case in &json_documents("embed-") {
        let server = server_for(case, "application/json").await;
        let mut settings = server.settings();
        settings.embedding.dimension = Some(3);
        let embedder = embedder_of(&settings).await;
        let response = embedder.embed(embed_request(EmbedPurpose::Document, &["one", "two"])).await;
        match (response.map(|embedded| embedded.vectors), expected_result(case)) {
            (Ok(vectors), want) => {
                let expected: Vec<Vec<f32>> =
                    serde_json::from_value(want["vectors"].clone()).expect("expected vectors");
                let differs = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6;
                assert_eq!(vectors.len(), expected.len(), "{}", case.display());
                assert!(
                    !vectors.iter().flatten().zip(expected.iter().flatten()).any(differs),
                    "{}: {vectors:?}",
                    case.display()
                );
            }
            (Err(error), want) => assert_eq!(want["error"], error.error_type(), "{}: {error}", case.display()),
        }
    }
}

#[tokio::test]
async fn every_recorded_ranking_gives_scores_from_0_to_1_in_passage_order_or_an_error() {
    let cases = json_documents("rerank-");
    assert!(cases.len() > 8, "too few cases");
    for case in &cases {
        let server = server_for(case, "application/json").await;
        let reranker = reranker_of(&server.settings());
        let passages = ["one", "two", "three"].map(str::to_owned).to_vec();
        let request = RerankRequest {
            caller: caller(),
            query: "two?".to_owned(),
            passages,
            classification: Classification::Internal,
        };
        match (reranker.rerank(request).await.map(|reranked| reranked.scores), expected_result(case)) {
            (Ok(scores), want) => {
                let expected: Vec<f32> = serde_json::from_value(want["scores"].clone()).expect("expected scores");
                let is_close = scores.iter().zip(&expected).all(|(score, want)| (score - want).abs() < 1e-4);
                assert!(is_close && scores.len() == expected.len(), "{}: {scores:?}", case.display());
            }
            (Err(error), want) => assert_eq!(want["error"], error.error_type(), "{}: {error}", case.display()),
        }
    }
}
