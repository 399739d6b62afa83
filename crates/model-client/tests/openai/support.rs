//! A scripted HTTP server, with requests and settings for it.

use domain::classified::Classified;
use domain::ids::TenantId;
use domain::model::{ChatOptions, ChatRequest, EmbedPurpose, EmbedRequest, ExtractiveInput, ModelTier, PromptMessage};
use domain::model_call::ModelCaller;
use domain::role::Classification;
use model_client::config::{BackendSettings, ModelSettings, RouteSettings, Timeouts};
use model_client::metrics::ModelMetrics;
use model_client::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker};
use model_client::router::Router;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;
use uuid::Uuid;

/// What the server does with one request.
#[derive(Clone)]
pub enum Action {
    /// Sends the bytes in pieces of the given size, then closes the connection.
    Send(Vec<u8>, usize),
    /// Sends the bytes, then nothing more, and keeps the connection open.
    SendAndHang(Vec<u8>),
    /// Sends the first bytes once, then the second ones repeatedly without end.
    Repeat(Vec<u8>, Vec<u8>),
}

/// A scripted server on its own port; it stops when dropped.
pub struct ScriptedServer {
    /// Base URL of the server.
    pub url: Url,
    /// The requests received so far, each with head and body.
    pub requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ScriptedServer {
    /// Starts a server that answers the nth request with the nth action, and further requests with the last one.
    pub async fn start(actions: Vec<Action>) -> Self {
        Self::serve_on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), actions)
    }

    /// Like [`start`](Self::start), but at the address of a server that has stopped.
    pub async fn start_at(url: &Url, actions: Vec<Action>) -> Self {
        let port = url.port().expect("a port");
        Self::serve_on(TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free again"), actions)
    }

    fn serve_on(listener: TcpListener, actions: Vec<Action>) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read_request(&mut socket).await;
                let request_count = {
                    let mut received = received.lock().expect("no panic");
                    received.push(request);
                    received.len()
                };
                let action = actions[(request_count - 1).min(actions.len() - 1)].clone();
                connections.spawn(perform(socket, action));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    /// Number of requests so far.
    pub fn request_count(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }

    /// Settings for this server, with short timeouts.
    pub fn settings(&self) -> ModelSettings {
        settings(self.url.clone())
    }
}

/// Settings for a server at `url`, with short timeouts.
pub fn settings(url: Url) -> ModelSettings {
    let mut settings = ModelSettings::for_single_backend(backend("model-server", url));
    settings.queue.max_wait = Duration::from_millis(50);
    settings.embedding.query_timeout = Duration::from_millis(900);
    settings.rerank.timeout = Duration::from_millis(900);
    settings.tiers.rerank = vec![RouteSettings::new("model-server", "bge")];
    settings
}

/// A backend at `url`, with short timeouts.
pub fn backend(name: &str, url: Url) -> BackendSettings {
    let timeouts = Timeouts {
        first_token: Duration::from_millis(900),
        between_tokens: Duration::from_millis(200),
        ..Timeouts::default()
    };
    BackendSettings { timeouts, ..BackendSettings::new(name, url) }
}

/// A router with these settings.
pub fn router(settings: &ModelSettings) -> Arc<Router> {
    Router::new(settings, ModelMetrics::unregistered().expect("valid names")).expect("valid settings")
}

/// A chat model with these settings.
pub fn chat_of(settings: &ModelSettings) -> OpenAiChat {
    OpenAiChat::new(&router(settings), settings).expect("valid settings")
}

/// An embedder with these settings.
pub async fn embedder_of(settings: &ModelSettings) -> OpenAiEmbedder {
    OpenAiEmbedder::connect(&router(settings), settings).await.expect("valid settings")
}

/// A reranker with these settings.
pub fn reranker_of(settings: &ModelSettings) -> OpenAiReranker {
    OpenAiReranker::new(&router(settings), settings).expect("valid settings").expect("the tier has routes")
}

/// A caller of tenant 1.
pub fn caller() -> ModelCaller {
    caller_of(1)
}

/// A caller of the given tenant.
pub fn caller_of(tenant: u128) -> ModelCaller {
    let tenant = TenantId::from_uuid(Uuid::from_u128(tenant));
    ModelCaller::without_privacy_rules(tenant, Classification::Internal)
}

/// A request to embed `texts`.
pub fn embed_request(purpose: EmbedPurpose, texts: &[&str]) -> EmbedRequest {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    EmbedRequest { caller: caller(), purpose, texts, classification: Classification::Internal }
}

async fn read_request(socket: &mut TcpStream) -> String {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn perform(mut socket: TcpStream, action: Action) {
    let _ = socket.set_nodelay(true);
    match action {
        Action::Send(bytes, size) => {
            for piece in bytes.chunks(size) {
                if socket.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        Action::SendAndHang(bytes) => {
            let _ = socket.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Action::Repeat(head, bytes) => {
            let mut result = socket.write_all(&head).await;
            while result.is_ok() {
                result = socket.write_all(&bytes).await;
            }
        }
    }
}

/// A response with the given status line and headers, ended by closing the connection.
pub fn http_response(head: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or("200 OK");
    let extra_headers: String = lines.map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{extra_headers}connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A response that streams one event per item.
pub fn event_stream(events: &[&str]) -> Vec<u8> {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    http_response("200 OK", "text/event-stream; charset=utf-8", body.as_bytes())
}

/// [`request`] with this classification.
pub fn request_with_classification(classification: Classification) -> ChatRequest {
    let request = request();
    let (messages, _) = request.prompt.into_parts();
    ChatRequest { prompt: Classified::new(messages, classification), ..request }
}

/// A small chat request.
pub fn request() -> ChatRequest {
    ChatRequest {
        caller: caller(),
        options: ChatOptions::default(),
        tier: ModelTier::Fast,
        prompt: Classified::new(
            vec![PromptMessage::System("Answer.".to_owned()), PromptMessage::User("Which valve?".to_owned())],
            Classification::Internal,
        ),
        tools: Vec::new(),
        max_output_tokens: 256,
        extractive_input: ExtractiveInput::default(),
    }
}
