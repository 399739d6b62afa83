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
pub const MODEL_NAME: &str = "scripted-7b";
/// The server's reply to every request for a title. It does not use up a scripted reply.
pub const TITLE: &str = "Cleaning of strainers";
/// The server's reply to every request for a summary. It does not use up a scripted reply.
pub const SUMMARY: &str = "The strainer is cleaned weekly.";

/// How the server answers one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Streams these pieces and finishes.
    Text(Vec<&'static str>),
    /// Streams back the last message, in pieces of this many characters.
    Echo(usize),
    /// Streams the first piece, waits for [`ModelServer::resume_replies`], streams the second and finishes.
    PauseUntilResumed(&'static str, &'static str),
    /// Waits for [`ModelServer::resume_replies`], streams this piece and finishes; the reported usage is the whole
    /// prompt and the full output limit.
    UseWholeBudget(&'static str),
    /// Streams this piece and closes the connection.
    Interrupt(&'static str),
    /// Calls this tool with these arguments.
    ToolCall(&'static str, &'static str),
    /// Responds with this status.
    Status(u16),
    /// Waits for the duration before each of the pieces, then finishes.
    Delayed(Duration, Vec<&'static str>),
}

/// A running model server. Dropping it stops the server.
pub struct ModelServer {
    /// Value for `LITELLM_BASE_URL`.
    pub url: String,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// The reply once the queue is empty and `choose_reply` is not set.
    default_reply: Option<Reply>,
    /// Chooses the reply by the last message, once the queue is empty.
    choose_reply: Option<fn(&str) -> Reply>,
    requests: Mutex<Vec<Value>>,
    /// Side calls for the title of a conversation.
    title_requests: Mutex<Vec<Value>>,
    /// Side calls that summarize a conversation.
    summary_requests: Mutex<Vec<Value>>,
    /// Side calls that infer a memory.
    memory_requests: Mutex<Vec<Value>>,
    /// The reply to requests for memories; the platform gets `none` unless it is set.
    memory_reply: Mutex<Option<&'static str>>,
    embed_requests: Mutex<Vec<Value>>,
    resumed: Notify,
}

impl ModelServer {
    /// Starts a server with the replies to its requests, in order.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(Script { replies: Mutex::new(replies.into_iter().collect()), ..Script::default() }).await
    }

    /// Starts a server with the same reply to all requests.
    pub async fn start_with_default(reply: Reply) -> Self {
        Self::serve(Script { default_reply: Some(reply), ..Script::default() }).await
    }

    /// Starts a server that chooses each reply by the last message of its request.
    pub async fn start_with_reply_fn(choose_reply: fn(&str) -> Reply) -> Self {
        Self::serve(Script { choose_reply: Some(choose_reply), ..Script::default() }).await
    }

    /// Queues replies to the next requests.
    pub fn queue_replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.replies.lock().expect("not poisoned").extend(replies);
    }

    async fn serve(script: Script) -> Self {
        let script = Arc::new(script);
        let app = Router::new()
            .route("/v1/chat/completions", post(chat_completions))
            .route("/v1/embeddings", post(embeddings))
            .with_state(Arc::clone(&script));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, script, _tasks: tasks }
    }

    /// Lets one waiting reply continue.
    pub fn resume_replies(&self) {
        self.script.resumed.notify_one();
    }

    /// The bodies of the requests for titles so far.
    pub fn title_requests(&self) -> Vec<Value> {
        self.script.title_requests.lock().expect("not poisoned").clone()
    }

    /// The bodies of the requests for summaries so far.
    pub fn summary_requests(&self) -> Vec<Value> {
        self.script.summary_requests.lock().expect("not poisoned").clone()
    }

    /// The bodies of the requests for memories so far.
    pub fn memory_requests(&self) -> Vec<Value> {
        self.script.memory_requests.lock().expect("not poisoned").clone()
    }

    /// Sets the reply to requests for memories.
    pub fn set_memory_reply(&self, reply: &'static str) {
        *self.script.memory_reply.lock().expect("not poisoned") = Some(reply);
    }

    /// The bodies of the chat completion requests so far, without those of side calls.
    pub fn requests(&self) -> Vec<Value> {
        self.script.requests.lock().expect("not poisoned").clone()
    }

    /// The bodies of the requests for embeddings so far.
    pub fn embed_requests(&self) -> Vec<Value> {
        self.script.embed_requests.lock().expect("not poisoned").clone()
    }
}

async fn chat_completions(State(script): State<Arc<Script>>, Json(request): Json<Value>) -> Response {
    if is_task(&request, "title") {
        script.title_requests.lock().expect("not poisoned").push(request);
        return text_response(TITLE);
    }
    if is_task(&request, "summary") {
        script.summary_requests.lock().expect("not poisoned").push(request);
        return text_response(SUMMARY);
    }
    if is_task(&request, "memory") {
        script.memory_requests.lock().expect("not poisoned").push(request);
        return text_response(script.memory_reply.lock().expect("not poisoned").unwrap_or("none"));
    }
    let full_usage = max_usage(&request);
    let last_message = request["messages"].as_array().and_then(|all| all.last()).map(|last| last["content"].clone());
    script.requests.lock().expect("not poisoned").push(request);
    let reply = script.replies.lock().expect("not poisoned").pop_front();
    let chosen =
        || script.choose_reply.map(|choose| choose(last_message.as_ref().and_then(Value::as_str).unwrap_or("")));
    let reply = reply.or_else(chosen).or_else(|| script.default_reply.clone());
    let (mut delay, usage) = (Duration::ZERO, Usage { prompt_tokens: 21, completion_tokens: 7 });
    let (pieces, waits_before_last_piece, final_lines) = match reply.expect("a reply for each request") {
        Reply::Echo(length) => {
            let text = last_message.as_ref().and_then(Value::as_str).unwrap_or_default();
            return echo_response(text, length, usage);
        }
        Reply::Text(pieces) => (pieces, false, final_sse_lines(usage)),
        Reply::PauseUntilResumed(first, second) => (vec![first, second], true, final_sse_lines(usage)),
        Reply::UseWholeBudget(piece) => (vec![piece], true, final_sse_lines(full_usage)),
        Reply::Interrupt(piece) => (vec![piece], false, Vec::new()),
        Reply::ToolCall(name, arguments) => return tool_call_response(name, arguments),
        Reply::Status(status) => return error_response(status),
        Reply::Delayed(reply_delay, pieces) => {
            delay = reply_delay;
            (pieces, false, final_sse_lines(usage))
        }
    };
    let last_index = pieces.len().saturating_sub(1);
    let pieces = futures::stream::iter(pieces.into_iter().enumerate()).then(move |(index, piece)| {
        let script = Arc::clone(&script);
        async move {
            if waits_before_last_piece && index == last_index {
                script.resumed.notified().await;
            }
            // Simulates a slow model.
            tokio::time::sleep(delay).await;
            sse_line(&json!({
                "id": "c", "object": "chat.completion.chunk", "model": MODEL_NAME,
                "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }],
            }))
        }
    });
    let body = pieces.chain(futures::stream::iter(final_lines)).map(|line| Ok::<_, Infallible>(Bytes::from(line)));
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

/// Whether the request is a side call with this task, which its system message names.
fn is_task(request: &Value, task: &str) -> bool {
    let beginning = format!("Task: {task}.");
    request["messages"][0]["content"].as_str().is_some_and(|system| system.starts_with(&beginning))
}

fn text_response(text: &str) -> Response {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "model": MODEL_NAME,
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
    });
    let body = sse_line(&chunk) + &final_sse_lines(Usage { prompt_tokens: 1, completion_tokens: 1 }).concat();
    ([("content-type", "text/event-stream")], body).into_response()
}

/// Streams `text` in pieces of `length` characters.
fn echo_response(text: &str, length: usize, usage: Usage) -> Response {
    let characters: Vec<char> = text.chars().collect();
    let pieces = characters.chunks(length).map(|piece| {
        sse_line(&json!({
            "id": "c", "object": "chat.completion.chunk", "model": MODEL_NAME,
            "choices": [{ "index": 0, "delta": { "content": String::from_iter(piece) }, "finish_reason": null }],
        }))
    });
    let body: String = pieces.chain(final_sse_lines(usage)).collect();
    ([("content-type", "text/event-stream")], body).into_response()
}

fn tool_call_response(name: &str, arguments: &str) -> Response {
    let tool_call =
        json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": arguments } });
    let delta = |delta: Value, reason: Value| {
        sse_line(&json!({
            "id": "c", "object": "chat.completion.chunk", "model": MODEL_NAME,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
        }))
    };
    let body = delta(json!({ "tool_calls": [tool_call] }), Value::Null) + &delta(json!({}), json!("tool_calls"));
    ([("content-type", "text/event-stream")], body + "data: [DONE]\n\n").into_response()
}

/// Returns the same two-dimensional vector for every text.
async fn embeddings(State(script): State<Arc<Script>>, Json(request): Json<Value>) -> Json<Value> {
    script.embed_requests.lock().expect("not poisoned").push(request.clone());
    let texts = request["input"].as_array().map_or(1, Vec::len);
    let data: Vec<_> = (0..texts).map(|index| json!({ "index": index, "embedding": [0.6, 0.8] })).collect();
    Json(json!({ "object": "list", "model": "scripted-embed", "data": data, "usage": { "prompt_tokens": 3 } }))
}

fn error_response(status: u16) -> Response {
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
    let output_limit = request["max_tokens"].as_u64().or(request["max_completion_tokens"].as_u64());
    Usage { prompt_tokens: bytes as u64 / 4, completion_tokens: output_limit.unwrap_or_default() }
}

fn final_sse_lines(usage: Usage) -> Vec<String> {
    let stop =
        json!({ "id": "c", "model": MODEL_NAME, "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "id": "c", "model": MODEL_NAME, "choices": [], "usage": usage });
    vec![sse_line(&stop), sse_line(&usage), "data: [DONE]\n\n".to_owned()]
}

fn sse_line(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}
