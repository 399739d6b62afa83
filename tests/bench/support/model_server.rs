//! An OpenAI-compatible model server without a model: it streams tokens immediately or at a fixed rate, and computes
//! embeddings from words.
//!
//! Each token encodes the time at which it was sent, so that the benchmark's client can compute its delay.

use super::embedder::{MODEL_NAME, WordEmbedder};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ports::Clock as _;
use futures::StreamExt as _;
use platform_server::system::SystemClock;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Prefix of each token. No generated text contains it.
pub const TOKEN_PREFIX: &str = "qz";
/// Number of letters after the prefix of a token; each encodes four bits of the time.
const TIMESTAMP_LETTERS: usize = 13;

/// Length and speed of the answers.
#[derive(Clone, Copy, Debug)]
pub struct AnswerProfile {
    /// Number of tokens per answer; 0 for as many as the request allows.
    pub tokens: usize,
    /// Time between two tokens.
    pub interval: Duration,
}

/// The server's routes.
pub fn app(profile: AnswerProfile) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route(
            "/v1/models",
            get(|| async { Json(json!({ "object": "list", "data": [{ "id": "m" }, { "id": MODEL_NAME }] })) }),
        )
        .route("/health", get(|| async {}))
        .with_state(profile)
        .merge(Router::new().route("/v1/embeddings", post(embeddings)).with_state(Arc::new(WordEmbedder::default())))
}

async fn chat_completions(State(profile): State<AnswerProfile>, Json(request): Json<Value>) -> Response {
    let max_tokens = request["max_tokens"].as_u64().unwrap_or(1) as usize;
    let tokens = if profile.tokens == 0 { max_tokens } else { profile.tokens };
    let usage = json!({ "prompt_tokens": 900, "completion_tokens": tokens, "total_tokens": 900 + tokens });
    if request["stream"] != true {
        let message = json!({ "role": "assistant", "content": timestamp_token().repeat(tokens) });
        return Json(json!({ "id": "c", "object": "chat.completion", "model": "m", "usage": usage,
            "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }))
        .into_response();
    }
    let stop = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m",
        "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage });
    let final_frames = format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    let body_frames = token_frames(tokens, profile.interval).chain(futures::stream::iter([Bytes::from(final_frames)]));
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(body_frames.map(Ok::<_, Infallible>))).into_response()
}

/// Streams one frame per token.
fn token_frames(tokens: usize, interval: Duration) -> impl futures::Stream<Item = Bytes> {
    let ticks = (!interval.is_zero()).then(|| {
        let mut ticks = tokio::time::interval_at(Instant::now(), interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    futures::stream::unfold(FrameState { remaining: tokens, ticks }, |mut frames| async move {
        frames.remaining = frames.remaining.checked_sub(1)?;
        match &mut frames.ticks {
            Some(ticks) => drop(ticks.tick().await),
            // Without yielding, the server would send several tokens at once.
            None => tokio::task::yield_now().await,
        }
        Some((Bytes::from(token_frame()), frames))
    })
}

/// The number of tokens still to send, and the timer for them; no timer if they are sent immediately.
struct FrameState {
    remaining: usize,
    ticks: Option<tokio::time::Interval>,
}

fn token_frame() -> String {
    let token = timestamp_token();
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{token}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// A token that encodes the current time, in microseconds.
fn timestamp_token() -> String {
    let now = SystemClock.now().timestamp_micros();
    let letters = (0..TIMESTAMP_LETTERS).rev().map(|position| char::from(b'a' + (now >> (4 * position) & 15) as u8));
    std::iter::once(' ').chain(TOKEN_PREFIX.chars()).chain(letters).collect()
}

/// Returns the times that the tokens in a text encode, in microseconds.
pub fn token_times(text: &str) -> impl Iterator<Item = i64> {
    text.match_indices(TOKEN_PREFIX).filter_map(move |(position, mark)| {
        let letters = text.get(position + mark.len()..position + mark.len() + TIMESTAMP_LETTERS)?;
        letters.bytes().try_fold(0, |time, letter| {
            letter.is_ascii_lowercase().then_some(time << 4 | i64::from(letter.saturating_sub(b'a')))
        })
    })
}

async fn embeddings(State(embedder): State<Arc<WordEmbedder>>, Json(request): Json<Value>) -> Json<Value> {
    let texts: Vec<&str> = match &request["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let encode = |vector: Vec<f32>| match request["encoding_format"].as_str() {
        Some("base64") => {
            json!(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
        }
        _ => json!(vector),
    };
    let embedding_object = |(index, text): (usize, &&str)| {
        let vector = encode(embedder.embed(text));
        json!({ "object": "embedding", "index": index, "embedding": vector })
    };
    let data: Vec<Value> = texts.iter().enumerate().map(embedding_object).collect();
    let usage = json!({ "prompt_tokens": 20, "total_tokens": 20 });
    Json(json!({ "object": "list", "model": MODEL_NAME, "data": data, "usage": usage }))
}
