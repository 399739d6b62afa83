//! A client of the platform's HTTP API.

use super::app::TestApp;
use bytes::Bytes;
use fakes::eventually_within;
use futures::StreamExt as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The multipart boundary of uploads.
pub const BOUNDARY: &str = "part-of-a-test-4f1c";
/// How long ingestion, or the next chunk of a stream, may take before a test fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of the API, with or without a token.
#[derive(Clone)]
pub struct ApiClient<'a> {
    app: &'a TestApp,
    base_url: &'a str,
    token: Option<String>,
}

/// A complete response of the server.
#[derive(Clone, PartialEq)]
pub struct ApiResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One server-sent event.
#[derive(Clone, PartialEq, Debug)]
pub struct SseEvent {
    pub id: u64,
    pub name: String,
    pub data: Value,
}

impl<'a> ApiClient<'a> {
    pub fn new(app: &'a TestApp, token: Option<String>) -> Self {
        Self { app, base_url: &app.base_url, token }
    }

    /// The same client for the server at `base_url`.
    pub fn at(&self, base_url: &'a str) -> Self {
        Self { base_url, token: self.token.clone(), ..*self }
    }

    /// A request with the client's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.app.http.request(method, format!("{}{path}", self.base_url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> ApiResponse {
        ApiResponse::send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> ApiResponse {
        ApiResponse::send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends any bytes with a JSON content type.
    pub async fn post_raw(&self, path: &str, body: impl Into<Bytes>) -> ApiResponse {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        ApiResponse::send(request.body(body.into())).await
    }

    /// Uploads a file with form fields.
    pub async fn upload(&self, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> ApiResponse {
        let request =
            self.request(Method::POST, "/v1/documents/upload").header("content-type", multipart_content_type());
        ApiResponse::send(request.body(multipart_body(name, bytes, fields))).await
    }

    /// Uploads a file and waits until it is `ready` or `failed`; returns the document.
    pub async fn ingest(&self, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Value {
        let response = self.upload(name, bytes, fields).await;
        assert_eq!(response.status, 202, "{response:?}");
        self.wait_until_ingested(response.json()["document_id"].as_str().expect("an id")).await
    }

    /// Waits until a document is `ready` or `failed`.
    pub async fn wait_until_ingested(&self, id: &str) -> Value {
        eventually_within(TIMEOUT, &format!("document {id} is ingested"), || async {
            let document = self.get(&format!("/v1/documents/{id}")).await.expect_json(200);
            (document["status"] == "ready" || document["status"] == "failed").then_some(document)
        })
        .await
    }

    /// Creates a conversation with a title, so that no model is called for one; returns its id.
    pub async fn create_conversation(&self) -> String {
        self.create_conversation_with(&json!({ "title": "Maintenance" })).await
    }

    /// Creates a conversation with these properties; returns its id.
    pub async fn create_conversation_with(&self, properties: &Value) -> String {
        let conversation = self.post("/v1/conversations", properties).await.expect_json(201);
        conversation["id"].as_str().expect("an id").to_owned()
    }

    /// Sends a message and returns the answer, which is not streamed.
    pub async fn chat(&self, conversation: &str, message: &str) -> Value {
        let body = json!({ "message": message, "stream": false });
        self.post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200)
    }

    /// Sends a chat request and returns the stream of events.
    pub async fn start_stream(&self, conversation: &str, body: &Value) -> SseStream {
        let path = format!("/v1/conversations/{conversation}/chat");
        let response = self.request(Method::POST, &path).json(body).send().await.expect("a response");
        SseStream::from_response(response)
    }

    /// Sends a message and returns all events of the streamed answer.
    pub async fn chat_events(&self, conversation: &str, message: &str) -> Vec<SseEvent> {
        self.start_stream(conversation, &json!({ "message": message })).await.read_to_end().await
    }

    /// Streams the events of a run after the event with the id `after`.
    pub async fn stream_run_events(&self, run: &str, after: u64) -> SseStream {
        let request = self.request(Method::GET, &format!("/v1/runs/{run}/events"));
        SseStream::from_response(request.header("last-event-id", after).send().await.expect("a response"))
    }

    /// Streams the events of a goal after the event with the id `after`.
    pub async fn stream_goal_events(&self, goal: &str, after: u64) -> SseStream {
        let request = self.request(Method::GET, &format!("/v1/goals/{goal}/events"));
        SseStream::from_response(request.header("last-event-id", after).send().await.expect("a response"))
    }
}

impl ApiResponse {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    /// Sends a request and reads the whole response.
    pub async fn send(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("a complete response") }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the status and returns the body as JSON.
    pub fn expect_json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The value of a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Asserts a problem document with this status, this code and a helpful detail; returns it.
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.len() > 15), "{problem}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{problem}");
        problem
    }

    /// Status and body without the ids of the request, to compare responses that must be indistinguishable.
    pub fn without_request_ids(&self) -> (u16, Value) {
        let mut body = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        if let Some(fields) = body.as_object_mut() {
            fields.remove("request_id");
            fields.remove("decision_id");
            fields.remove("instance");
        }
        (self.status, body)
    }
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]))
    }
}

/// A stream of server-sent events.
pub struct SseStream {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    pub status: u16,
    pub headers: HeaderMap,
    buffer: Vec<u8>,
}

impl SseStream {
    fn from_response(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { bytes: response.bytes_stream().boxed(), status, headers, buffer: Vec::new() }
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next_event(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                match parse_event(&String::from_utf8(block).expect("UTF-8")) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(TIMEOUT, self.bytes.next()).await.expect("an event in time")?;
            self.buffer.extend_from_slice(&chunk.expect("an uninterrupted event stream"));
        }
    }

    /// Reads up to and including the first event with this name.
    pub async fn read_until(&mut self, name: &str) -> Vec<SseEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event().await {
            let is_last = event.name == name;
            events.push(event);
            if is_last {
                return events;
            }
        }
        panic!("the stream ended without {name}: {events:?}");
    }

    /// Reads the remaining events.
    pub async fn read_to_end(mut self) -> Vec<SseEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event().await {
            events.push(event);
        }
        events
    }
}

/// The complete events in the first bytes of a stream.
pub fn complete_events(bytes: &[u8]) -> Vec<SseEvent> {
    let Some(end) = bytes.windows(2).rposition(|pair| pair == b"\n\n") else { return Vec::new() };
    let blocks = std::str::from_utf8(&bytes[..end]).expect("UTF-8");
    blocks.split("\n\n").filter_map(parse_event).collect()
}

/// Parses an event; `None` for a comment.
fn parse_event(block: &str) -> Option<SseEvent> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(SseEvent {
        id: field("id:")?.parse().expect("a number"),
        name: field("event:")?.to_owned(),
        data: serde_json::from_str(field("data:")?).expect("JSON"),
    })
}

/// The text of an answer, from its `message.delta` events.
pub fn answer_text(events: &[SseEvent]) -> String {
    events
        .iter()
        .filter(|event| event.name == "message.delta")
        .filter_map(|event| event.data["text"].as_str())
        .collect()
}

/// The `Content-Type` header of an upload.
pub fn multipart_content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// The body of an upload.
pub fn multipart_body(name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = multipart_head(name, fields).into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The body of an upload up to the bytes of the file.
pub fn multipart_head(name: &str, fields: &[(&str, &str)]) -> String {
    let mut head = String::new();
    for (field, value) in fields {
        head += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
    }
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    head + &format!("--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n")
}
