//! A model server with scripted replies, which speaks OpenAI's chat completions API.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The model name in the server's responses.
pub const SERVED: &str = "scripted-7b";

/// How the server answers one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Streams these pieces and finishes.
    Text(Vec<&'static str>),
    /// Streams the first piece, waits for [`ModelServer::resume_replies`], streams the second and finishes.
    Pause(&'static str, &'static str),
    /// Waits for [`ModelServer::resume_replies`], streams this piece and finishes; the reported usage is the whole
    /// prompt and the full output limit.
    UseWholeBudget(&'static str),
    /// Streams this piece and closes the connection.
    Interrupt(&'static str),
    /// Calls this tool with these arguments.
    ToolCall(&'static str, &'static str),
    /// Responds with this status.
    Fail(u16),
    /// Waits for the duration before each of the pieces, then finishes.
    Delayed(Duration, Vec<&'static str>),
}

/// The server, which stops when it is dropped.
pub struct ModelServer {
    /// Value for `LITELLM_BASE_URL`.
    pub url: String,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// The reply once the queue is empty.
    always: Option<Reply>,
    asked: Mutex<Vec<Value>>,
    resume_replies: Notify,
}

impl ModelServer {
    /// Starts a server with the replies to its requests, in order.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(Script { replies: Mutex::new(replies.into_iter().collect()), ..Script::default() }).await
    }

    /// Starts a server with the same reply to all requests.
    pub async fn always(reply: Reply) -> Self {
        Self::serve(Script { always: Some(reply), ..Script::default() }).await
    }

    /// Queues replies to the next requests.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.replies.lock().expect("not poisoned").extend(replies);
    }

    async fn serve(script: Script) -> Self {
        let script = Arc::new(script);
        let app = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/embeddings", post(embed))
            .with_state(Arc::clone(&script));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, script, _tasks: tasks }
    }

    /// Lets a waiting reply go on.
    pub fn resume_replies(&self) {
        self.script.resume_replies.notify_one();
    }

    /// The bodies of the requests so far.
    pub fn asked(&self) -> Vec<Value> {
        self.script.asked.lock().expect("not poisoned").clone()
    }
}

async fn complete(State(script): State<Arc<Script>>, Json(request): Json<Value>) -> Response {
    let spent = max_usage(&request);
    script.asked.lock().expect("not poisoned").push(request);
    let reply = script.replies.lock().expect("not poisoned").pop_front().or_else(|| script.always.clone());
    let (mut each, usual) = (Duration::ZERO, Usage { prompt_tokens: 21, completion_tokens: 7 });
    let (pieces, pause, end) = match reply.expect("a reply for each request") {
        Reply::Text(pieces) => (pieces, false, end(usual)),
        Reply::Pause(first, second) => (vec![first, second], true, end(usual)),
        Reply::UseWholeBudget(piece) => (vec![piece], true, end(spent)),
        Reply::Interrupt(piece) => (vec![piece], false, Vec::new()),
        Reply::ToolCall(name, arguments) => return call(name, arguments),
        Reply::Fail(status) => return refusal(status),
        Reply::Delayed(wait, pieces) => {
            each = wait;
            (pieces, false, end(usual))
        }
    };
    let last = pieces.len().saturating_sub(1);
    let pieces = futures::stream::iter(pieces.into_iter().enumerate()).then(move |(at, piece)| {
        let script = Arc::clone(&script);
        async move {
            if pause && at == last {
                script.resume_replies.notified().await;
            }
            // The delay of a slow model, as scripted.
            tokio::time::sleep(each).await;
            line(&json!({
                "id": "c", "object": "chat.completion.chunk", "model": SERVED,
                "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }],
            }))
        }
    });
    let body = pieces.chain(futures::stream::iter(end)).map(|line| Ok::<_, Infallible>(Bytes::from(line)));
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

fn call(name: &str, arguments: &str) -> Response {
    let call =
        json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": arguments } });
    let delta = |delta: Value, reason: Value| {
        line(&json!({
            "id": "c", "object": "chat.completion.chunk", "model": SERVED,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
        }))
    };
    let body = delta(json!({ "tool_calls": [call] }), Value::Null) + &delta(json!({}), json!("tool_calls"));
    ([("content-type", "text/event-stream")], body + "data: [DONE]\n\n").into_response()
}

/// Returns the same two-dimensional vector for every text.
async fn embed(Json(request): Json<Value>) -> Json<Value> {
    let texts = request["input"].as_array().map_or(1, Vec::len);
    let data: Vec<_> = (0..texts).map(|index| json!({ "index": index, "embedding": [0.6, 0.8] })).collect();
    Json(json!({ "object": "list", "model": "scripted-embed", "data": data, "usage": { "prompt_tokens": 3 } }))
}

fn refusal(status: u16) -> Response {
    let body =
        json!({ "error": { "message": "the model is not loaded: secret-upstream-words", "type": "server_error" } });
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

/// Token counts that a server reports.
#[derive(Clone, Copy, serde::Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// The maximum usage of a request: its prompt and tools, estimated by their length, and its output limit.
fn max_usage(request: &Value) -> Usage {
    let texts = request["messages"].as_array().into_iter().flatten().map(|message| message["content"].to_string());
    let bytes = texts.map(|text| text.len()).sum::<usize>() + request["tools"].to_string().len();
    let most = request["max_tokens"].as_u64().or(request["max_completion_tokens"].as_u64());
    Usage { prompt_tokens: bytes as u64 / 4, completion_tokens: most.unwrap_or_default() }
}

fn end(usage: Usage) -> Vec<String> {
    let stop = json!({ "id": "c", "model": SERVED, "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "id": "c", "model": SERVED, "choices": [], "usage": usage });
    vec![line(&stop), line(&usage), "data: [DONE]\n\n".to_owned()]
}

fn line(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}
