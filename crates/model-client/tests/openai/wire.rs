//! Replays recorded responses of real servers (`testdata/wire`) and compares the results with the `.want.json` files.

use crate::support::{Action, ScriptedServer, answer, caller, chat_of, embedder_of, request, reranker_of, texts};
use domain::model::{ChatDelta, EmbedPurpose, ModelError, RerankRequest};
use domain::ports::{ChatModel, Embedder, Reranker};
use domain::role::Classification;
use futures::StreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bytes sent at a time: shorter than a line, and odd, so that most two-byte characters are split somewhere.
const PIECE: usize = 7;

fn cases(extension: &str) -> Vec<PathBuf> {
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
fn documents(kind: &str) -> Vec<PathBuf> {
    let name = |case: &PathBuf| case.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_chat = |name: &str| !["embed-", "rerank-"].iter().any(|kind| name.starts_with(kind));
    let mut found = cases(".json");
    found.retain(|case| if kind.is_empty() { is_chat(&name(case)) } else { name(case).starts_with(kind) });
    found
}

async fn server_for(case: &Path, kind: &str) -> ScriptedServer {
    let body = std::fs::read(case).expect("the case");
    let head = std::fs::read_to_string(case.with_extension("head")).unwrap_or_else(|_| "200 OK".to_owned());
    ScriptedServer::start(vec![Action::Send(answer(&head, kind, &body), PIECE)]).await
}

fn want(case: &Path) -> Value {
    let text = std::fs::read_to_string(case.with_extension("want.json")).expect("the expected result");
    serde_json::from_str(&text).expect("JSON")
}

fn note_error(got: &mut Value, error: &ModelError) {
    got["error"] = json!(error.error_type());
    if let ModelError::Unavailable { retry_after: Some(pause), .. } = error {
        got["retry_after_s"] = json!(pause.as_secs());
    }
}

/// Runs a chat and returns the result in the form of a `.want.json` file.
async fn chat(server: &ScriptedServer) -> Value {
    let chat = chat_of(&server.settings());
    let mut got = json!({ "text": "", "tool_calls": [] });
    let mut stream = match chat.stream(request()).await {
        Ok(stream) => stream,
        Err(error) => {
            note_error(&mut got, &error);
            return got;
        }
    };
    got["model"] = json!(stream.served_by.model);
    got["fallback"] = json!(stream.served_by.fallback);
    let (mut text, mut thought) = (String::new(), String::new());
    let mut calls = Vec::new();
    while let Some(delta) = stream.deltas.next().await {
        assert!(got.get("finish_reason").is_none() && got.get("error").is_none(), "no delta follows the end");
        match delta {
            Ok(ChatDelta::Text(piece)) => text.push_str(&piece),
            Ok(ChatDelta::ToolCall(call)) => {
                calls.push(json!({ "id": call.id, "name": call.name, "arguments": call.arguments }));
            }
            Ok(ChatDelta::Reasoning(piece)) => thought.push_str(&piece),
            Ok(ChatDelta::Finished { reason, usage, estimated, cost }) => {
                got["finish_reason"] = json!(reason);
                got["estimated"] = json!(estimated);
                got["cost"] = json!(cost);
                got["usage"] = json!([usage.input_tokens, usage.output_tokens]);
            }
            Err(error) => note_error(&mut got, &error),
        }
    }
    got["text"] = json!(text);
    got["reasoning"] = json!(thought);
    got["tool_calls"] = json!(calls);
    got
}

fn assert_has(case: &Path, got: &Value, want: &Value) {
    for (name, wanted) in want.as_object().expect("an object") {
        assert_eq!(got.get(name), Some(wanted), "{name} of {}: {got}", case.display());
    }
    assert_eq!(got.get("error").is_some(), want.get("error").is_some(), "{}: {got}", case.display());
}

#[tokio::test]
async fn every_recorded_stream_gives_the_expected_answer() {
    let cases = cases(".sse");
    assert!(cases.len() > 15, "too few cases");
    for case in cases {
        let server = server_for(&case, "text/event-stream").await;
        assert_has(&case, &chat(&server).await, &want(&case));
    }
}

#[tokio::test]
async fn every_recorded_document_gives_the_expected_answer_or_error() {
    for case in &documents("") {
        let server = server_for(case, "application/json").await;
        assert_has(case, &chat(&server).await, &want(case));
    }
}

#[tokio::test]
async fn every_recorded_embedding_gives_vectors_of_length_1_or_an_error() {
    for case in &documents("embed-") {
        let server = server_for(case, "application/json").await;
        let mut settings = server.settings();
        settings.embedding.dimension = Some(3);
        let embedder = embedder_of(&settings).await;
        let embedded = embedder.embed(texts(EmbedPurpose::Document, &["one", "two"])).await;
        match (embedded.map(|embedded| embedded.vectors), want(case)) {
            (Ok(vectors), want) => {
                let want: Vec<Vec<f32>> = serde_json::from_value(want["vectors"].clone()).expect("expected vectors");
                let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6;
                assert_eq!(vectors.len(), want.len(), "{}", case.display());
                assert!(
                    !vectors.iter().flatten().zip(want.iter().flatten()).any(far),
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
    let cases = documents("rerank-");
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
        match (reranker.rerank(request).await.map(|reranked| reranked.scores), want(case)) {
            (Ok(scores), want) => {
                let want: Vec<f32> = serde_json::from_value(want["scores"].clone()).expect("expected scores");
                let near = scores.iter().zip(&want).all(|(score, want)| (score - want).abs() < 1e-4);
                assert!(near && scores.len() == want.len(), "{}: {scores:?}", case.display());
            }
            (Err(error), want) => assert_eq!(want["error"], error.error_type(), "{}: {error}", case.display()),
        }
    }
}
