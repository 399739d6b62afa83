//! A receiver of webhooks with scripted answers.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use fakes::eventually_within;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a message may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running receiver. Dropping it stops the server.
pub struct Receiver {
    /// URL that accepts posts.
    pub url: String,
    state: Arc<ReceiverState>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct ReceiverState {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
}

/// An answer to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// A header, if there is one.
    pub header: Option<&'static str>,
    pub value: String,
}

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, header: None, value: String::new() }
    }

    pub fn with_header(self, header: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some(header), value: value.into(), ..self }
    }
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().expect("text")
    }
}

impl Receiver {
    /// Starts a receiver that gives these answers, in order, and then 204.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let state =
            Arc::new(ReceiverState { answers: Mutex::new(answers.into_iter().collect()), ..Default::default() });
        let app = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, state, _tasks: tasks }
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("not poisoned").clone()
    }

    /// Waits for this number of requests, and returns them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually_within(TIMEOUT, &format!("{count} requests were received"), || async {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    /// Waits for the message of this type.
    pub async fn wait_for_type(&self, event: &str) -> Received {
        eventually_within(TIMEOUT, &format!("{event} was received"), || async {
            self.received().into_iter().find(|request| request.json()["type"] == event)
        })
        .await
    }
}

async fn receive(State(state): State<Arc<ReceiverState>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    state.received.lock().expect("not poisoned").push(Received { at: Instant::now(), uri, headers, body });
    let answer = state.answers.lock().expect("not poisoned").pop_front().unwrap_or_else(|| Answer::status(204));
    let status = StatusCode::from_u16(answer.status).expect("a status");
    match answer.header {
        Some(header) => (status, [(header, answer.value)]).into_response(),
        None => status.into_response(),
    }
}
