//! A model server with scripted replies, which speaks OpenAI's chat completions API.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// Streams this text and finishes. `[{words}]` becomes a marker of the passage of the prompt that contains the
    /// words, and `[{!words}]` one of a passage that does not.
    Citing(String),
    /// Streams the first piece, waits for [`ModelServer::resume_one_reply`], streams the second and finishes.
    PauseUntilResumed(&'static str, &'static str),
    /// Waits for [`ModelServer::resume_one_reply`], streams this piece and finishes; the reported usage is the whole
    /// prompt and the full output limit.
    PauseThenReportMaxUsage(&'static str),
    /// Streams this piece and closes the connection.
    Interrupt(&'static str),
    /// Calls this tool with these arguments.
    ToolCall(&'static str, &'static str),
    /// Streams the text in pieces of five characters, then requests the calls.
    TextAndToolCalls { text: String, calls: Vec<RequestedCall> },
    /// Responds with this status.
    Status(u16),
    /// Waits for the duration before each of the pieces, then finishes.
    Delayed(Duration, Vec<&'static str>),
}

/// A tool call as a model writes it: the arguments may be any text.
#[derive(Clone, Debug)]
pub struct RequestedCall {
    pub name: String,
    pub arguments: String,
}

/// Chooses the reply by the whole request.
type ChooseReply = Box<dyn Fn(&Value) -> Reply + Send + Sync>;

/// A running model server. Dropping it stops the server.
pub struct ModelServer {
    /// Value for `LITELLM_BASE_URL`.
    pub url: String,
    state: Arc<ServerState>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct ServerState {
    replies: Mutex<VecDeque<Reply>>,
    /// The reply once the queue is empty and `choose_reply` is not set.
    default_reply: Option<Reply>,
    /// Chooses the reply once the queue is empty.
    choose_reply: Option<ChooseReply>,
    requests: Mutex<Vec<Value>>,
    /// The headers of `requests`.
    request_headers: Mutex<Vec<HeaderMap>>,
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
    /// Number of open replies; only those sent piece by piece are counted.
    open_replies: AtomicUsize,
}

/// Counts a reply as open until its response ends or its client disconnects.
struct OpenReply(Arc<ServerState>);

impl OpenReply {
    fn new(state: Arc<ServerState>) -> Self {
        state.open_replies.fetch_add(1, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for OpenReply {
    fn drop(&mut self) {
        self.0.open_replies.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ModelServer {
    /// Starts a server with the replies to its requests, in order.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(ServerState { replies: Mutex::new(replies.into_iter().collect()), ..ServerState::default() }).await
    }

    /// Starts a server with the same reply to all requests.
    pub async fn start_with_default(reply: Reply) -> Self {
        Self::serve(ServerState { default_reply: Some(reply), ..ServerState::default() }).await
    }

    /// Starts a server that chooses each reply by its whole request.
    pub async fn start_with_request_fn(choose_reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(ServerState { choose_reply: Some(Box::new(choose_reply)), ..ServerState::default() }).await
    }

    /// Queues replies to the next requests.
    pub fn queue_replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.replies.lock().expect("not poisoned").extend(replies);
    }

    async fn serve(state: ServerState) -> Self {
        let state = Arc::new(state);
        let app = Router::new()
            .route("/v1/chat/completions", post(chat_completions))
            .route("/v1/embeddings", post(embeddings))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, state, _tasks: tasks }
    }

    /// Lets one waiting reply continue.
    pub fn resume_one_reply(&self) {
        self.state.resumed.notify_one();
    }

    /// The bodies of the requests for titles so far.
    pub fn title_requests(&self) -> Vec<Value> {
        self.state.title_requests.lock().expect("not poisoned").clone()
    }

    /// The bodies of the requests for summaries so far.
    pub fn summary_requests(&self) -> Vec<Value> {
        self.state.summary_requests.lock().expect("not poisoned").clone()
    }

    /// The bodies of the requests for memories so far.
    pub fn memory_requests(&self) -> Vec<Value> {
        self.state.memory_requests.lock().expect("not poisoned").clone()
    }

    /// Sets the reply to requests for memories.
    pub fn set_memory_reply(&self, reply: &'static str) {
        *self.state.memory_reply.lock().expect("not poisoned") = Some(reply);
    }

    /// The bodies of the chat completion requests so far, without those of side calls.
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests.lock().expect("not poisoned").clone()
    }

    /// The headers of the same requests.
    pub fn request_headers(&self) -> Vec<HeaderMap> {
        self.state.request_headers.lock().expect("not poisoned").clone()
    }

    /// Number of open replies; only those sent piece by piece are counted.
    pub fn open_replies(&self) -> usize {
        self.state.open_replies.load(Ordering::SeqCst)
    }

    /// The bodies of the requests for embeddings so far.
    pub fn embed_requests(&self) -> Vec<Value> {
        self.state.embed_requests.lock().expect("not poisoned").clone()
    }
}

impl ServerState {
    /// Records a side call and returns its reply; `None` for other requests.
    fn side_call_reply(&self, request: &Value) -> Option<&'static str> {
        let (requests, reply) = if is_task(request, "title") {
            (&self.title_requests, TITLE)
        } else if is_task(request, "summary") {
            (&self.summary_requests, SUMMARY)
        } else if is_task(request, "memory") {
            (&self.memory_requests, self.memory_reply.lock().expect("not poisoned").unwrap_or("none"))
        } else {
            return None;
        };
        requests.lock().expect("not poisoned").push(request.clone());
        Some(reply)
    }
}

async fn chat_completions(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if let Some(reply) = state.side_call_reply(&request) {
        return text_response(reply);
    }
    let full_usage = max_usage(&request);
    let passages = passages(&request);
    state.requests.lock().expect("not poisoned").push(request.clone());
    state.request_headers.lock().expect("not poisoned").push(headers);
    let reply = state.replies.lock().expect("not poisoned").pop_front();
    let chosen = || state.choose_reply.as_ref().map(|choose| choose(&request));
    let reply = reply.or_else(chosen).or_else(|| state.default_reply.clone());
    let (mut delay, usage) = (Duration::ZERO, Usage { prompt_tokens: 21, completion_tokens: 7 });
    let (pieces, waits_before_last_piece, ending) = match reply.expect("a reply for each request") {
        Reply::Echo(length) => {
            let pieces = text_events(last_message(&request), length);
            return sse_response(pieces.chain(final_events(usage)).collect());
        }
        Reply::Citing(template) => {
            let pieces = text_events(&with_markers(&template, &passages), 7);
            return sse_response(pieces.chain(final_events(usage)).collect());
        }
        Reply::Text(pieces) => (pieces, false, final_events(usage)),
        Reply::PauseUntilResumed(first, second) => (vec![first, second], true, final_events(usage)),
        Reply::PauseThenReportMaxUsage(piece) => (vec![piece], true, final_events(full_usage)),
        Reply::Interrupt(piece) => (vec![piece], false, Vec::new()),
        Reply::ToolCall(name, arguments) => {
            let call = RequestedCall { name: name.to_owned(), arguments: arguments.to_owned() };
            return sse_response(tool_call_events(&[call]));
        }
        Reply::TextAndToolCalls { text, calls } => {
            let end = if calls.is_empty() { final_events(usage).concat() } else { tool_call_events(&calls) };
            return sse_response(text_events(&text, 5).chain([end]).collect());
        }
        Reply::Status(status) => return error_response(status),
        Reply::Delayed(reply_delay, pieces) => {
            delay = reply_delay;
            (pieces, false, final_events(usage))
        }
    };
    let open_reply = OpenReply::new(Arc::clone(&state));
    let last_index = pieces.len().saturating_sub(1);
    let pieces = futures::stream::iter(pieces.into_iter().enumerate()).then(move |(index, piece)| {
        let state = Arc::clone(&state);
        async move {
            if waits_before_last_piece && index == last_index {
                state.resumed.notified().await;
            }
            // Simulates a slow model.
            tokio::time::sleep(delay).await;
            delta_event(&json!({ "content": piece }), &Value::Null)
        }
    });
    let body = pieces.chain(futures::stream::iter(ending)).map(move |event| {
        let _open = &open_reply;
        Ok::<_, Infallible>(Bytes::from(event))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

/// A passage of a prompt.
#[derive(Clone, Debug)]
pub struct PromptPassage {
    pub number: u32,
    /// Its own text, without what stands around it in the document.
    pub content: String,
}

/// The passages of a request.
pub fn passages(request: &Value) -> Vec<PromptPassage> {
    let messages = request["messages"].as_array().into_iter().flatten();
    let texts = messages.filter_map(|message| message["content"].as_str());
    texts.flat_map(|text| text.split("<passage-").skip(1)).filter_map(passage).collect()
}

/// Parses the text after `<passage-`.
fn passage(text: &str) -> Option<PromptPassage> {
    let number = text.split_once(" n=\"")?.1.split_once('"')?.0.parse().ok()?;
    let (body, _) = text.split_once(">\n")?.1.split_once("</passage-")?;
    let without_before = body.split_once("</before-").and_then(|(_, rest)| rest.split_once('\n')).map(|(_, rest)| rest);
    let content = without_before.unwrap_or(body).split("<after-").next()?;
    Some(PromptPassage { number, content: content.to_owned() })
}

fn with_markers(template: &str, passages: &[PromptPassage]) -> String {
    let mut parts = template.split("[{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (words, rest) = part.split_once("}]").expect("the end of a marker");
        let (words, is_wanted) = words.strip_prefix('!').map_or((words, true), |words| (words, false));
        let contains = |passage: &&PromptPassage| passage.content.replace('\n', " ").contains(words) == is_wanted;
        let passage = passages.iter().find(contains).unwrap_or_else(|| panic!("a passage for {words}: {passages:?}"));
        text.push_str(&format!("[{}]{rest}", passage.number));
    }
    text
}

/// Whether the request is a side call with this task, which its system message names.
fn is_task(request: &Value, task: &str) -> bool {
    let beginning = format!("Task: {task}.");
    request["messages"][0]["content"].as_str().is_some_and(|system| system.starts_with(&beginning))
}

fn text_response(text: &str) -> Response {
    let usage = Usage { prompt_tokens: 1, completion_tokens: 1 };
    sse_response(delta_event(&json!({ "content": text }), &Value::Null) + &final_events(usage).concat())
}

/// The content of the last message.
fn last_message(request: &Value) -> &str {
    let messages = request["messages"].as_array();
    messages.and_then(|messages| messages.last()).and_then(|last| last["content"].as_str()).unwrap_or_default()
}

fn sse_response(body: String) -> Response {
    ([("content-type", "text/event-stream")], body).into_response()
}

/// The events that stream `text` in pieces of `length` characters.
fn text_events(text: &str, length: usize) -> impl Iterator<Item = String> + use<> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters
        .chunks(length)
        .map(|piece| delta_event(&json!({ "content": String::from_iter(piece) }), &Value::Null))
        .collect();
    pieces.into_iter()
}

/// The events that stream the calls and end the reply.
fn tool_call_events(calls: &[RequestedCall]) -> String {
    let calls = calls.iter().enumerate().map(|(index, RequestedCall { name, arguments })| {
        let function = json!({ "name": name, "arguments": arguments });
        json!({ "index": index, "id": format!("call_{}", index + 1), "type": "function", "function": function })
    });
    let calls: Vec<Value> = calls.collect();
    delta_event(&json!({ "tool_calls": calls }), &Value::Null)
        + &delta_event(&json!({}), &json!("tool_calls"))
        + "data: [DONE]\n\n"
}

fn delta_event(delta: &Value, finish_reason: &Value) -> String {
    sse_event(&json!({
        "id": "c", "object": "chat.completion.chunk", "model": MODEL_NAME,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
    }))
}

/// Returns the same two-dimensional vector for every text.
async fn embeddings(State(state): State<Arc<ServerState>>, Json(request): Json<Value>) -> Json<Value> {
    state.embed_requests.lock().expect("not poisoned").push(request.clone());
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

fn final_events(usage: Usage) -> Vec<String> {
    let stop =
        json!({ "id": "c", "model": MODEL_NAME, "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "id": "c", "model": MODEL_NAME, "choices": [], "usage": usage });
    vec![sse_event(&stop), sse_event(&usage), "data: [DONE]\n\n".to_owned()]
}

fn sse_event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}
