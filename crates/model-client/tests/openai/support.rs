//! A server that sends what a script says, byte by byte if it must.

use domain::classified::Classified;
use domain::ids::TenantId;
use domain::model::{ChatOptions, ChatRequest, EmbedPurpose, EmbedRequest, ModelTier, PromptMessage};
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
pub enum Act {
    /// Sends the bytes in pieces of the given size, then closes the connection.
    Send(Vec<u8>, usize),
    /// Sends the bytes, then nothing more, and keeps the connection.
    SendAndHang(Vec<u8>),
    /// Sends the bytes for ever.
    Repeat(Vec<u8>, Vec<u8>),
}

/// A server on a port of its own; it ends with the value.
pub struct Scripted {
    /// Its address.
    pub url: Url,
    /// The bodies of the requests so far, with their heads.
    pub requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// Answers the nth request with the nth act, and every later one with the last.
    pub async fn start(acts: Vec<Act>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), acts)
    }

    /// The same at the address of one that has ended.
    pub async fn start_at(url: &Url, acts: Vec<Act>) -> Self {
        let port = url.port().expect("a port");
        Self::on(TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free again"), acts)
    }

    fn on(listener: TcpListener, acts: Vec<Act>) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read_request(&mut socket).await;
                let number = {
                    let mut seen = seen.lock().expect("no panic");
                    seen.push(request);
                    seen.len()
                };
                let act = acts[(number - 1).min(acts.len() - 1)].clone();
                open.spawn(play(socket, act));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }

    /// Settings for it, with short limits.
    pub fn settings(&self) -> ModelSettings {
        settings(self.url.clone())
    }
}

/// Settings for a server at `url`, with short limits.
pub fn settings(url: Url) -> ModelSettings {
    let mut settings = ModelSettings::single(backend("model-server", url));
    settings.queue.wait = Duration::from_millis(50);
    settings.embedding.query_timeout = Duration::from_millis(900);
    settings.rerank.timeout = Duration::from_millis(900);
    settings.tiers.rerank = vec![RouteSettings::to("model-server", "bge")];
    settings
}

/// A backend at `url`, with short limits.
pub fn backend(name: &str, url: Url) -> BackendSettings {
    let timeouts = Timeouts {
        first_token: Duration::from_millis(900),
        between_tokens: Duration::from_millis(200),
        ..Timeouts::default()
    };
    BackendSettings { timeouts, ..BackendSettings::at(name, url) }
}

/// The router of these settings.
pub fn router(settings: &ModelSettings) -> Arc<Router> {
    Router::new(settings, ModelMetrics::unread().expect("names of use")).expect("settings of use")
}

/// The chat model of these settings.
pub fn chat_of(settings: &ModelSettings) -> OpenAiChat {
    OpenAiChat::new(&router(settings), settings).expect("settings of use")
}

/// The embedder of these settings.
pub async fn embedder_of(settings: &ModelSettings) -> OpenAiEmbedder {
    OpenAiEmbedder::connect(&router(settings), settings).await.expect("settings of use")
}

/// The reranker of these settings.
pub fn reranker_of(settings: &ModelSettings) -> OpenAiReranker {
    OpenAiReranker::new(&router(settings), settings).expect("settings of use").expect("the tier is served")
}

/// Somebody who asks.
pub fn caller() -> ModelCaller {
    caller_of(1)
}

/// Somebody of this tenant who asks.
pub fn caller_of(tenant: u128) -> ModelCaller {
    let tenant = TenantId::from_uuid(Uuid::from_u128(tenant));
    ModelCaller { tenant, user: None, cloud_limit: Classification::Internal }
}

/// What is asked of an embedder.
pub fn texts(purpose: EmbedPurpose, texts: &[&str]) -> EmbedRequest {
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

async fn play(mut socket: TcpStream, act: Act) {
    let _ = socket.set_nodelay(true);
    match act {
        Act::Send(bytes, size) => {
            for piece in bytes.chunks(size) {
                if socket.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
        Act::SendAndHang(bytes) => {
            let _ = socket.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Act::Repeat(head, bytes) => {
            let mut result = socket.write_all(&head).await;
            while result.is_ok() {
                result = socket.write_all(&bytes).await;
            }
        }
    }
}

/// An answer of the given status line, header lines and body, to the end of the connection.
pub fn answer(head: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or("200 OK");
    let more: String = lines.map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A stream of the given events' data.
pub fn stream_of(events: &[&str]) -> Vec<u8> {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    answer("200 OK", "text/event-stream; charset=utf-8", body.as_bytes())
}

/// A small request.
/// The same question, of this class.
pub fn classified(class: Classification) -> ChatRequest {
    let request = request();
    let (messages, _) = request.prompt.into_parts();
    ChatRequest { prompt: Classified::new(messages, class), ..request }
}

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
        question: "Which valve?".to_owned(),
        passages: Vec::new(),
    }
}
