//! A server with the contract of PI Web API, as far as connectors use it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get, post};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// `reader:correct horse`, as Basic credentials.
const BASIC: &str = "Basic cmVhZGVyOmNvcnJlY3QgaG9yc2U=";
const BEARER: &str = "Bearer a-token";

/// A running server.
pub struct PiServer {
    pub port: u16,
    pub plant: Arc<PiPlant>,
    task: JoinHandle<()>,
}

/// What the server holds, and what it was asked for.
#[derive(Default)]
pub struct PiPlant {
    /// Values by WebId.
    pub values: Mutex<HashMap<String, Value>>,
    /// Recorded values by WebId.
    pub recorded: Mutex<HashMap<String, Vec<Value>>>,
    pub without_batches: AtomicBool,
    pub hangs: AtomicBool,
    /// Method and path of each request, those within a batch included.
    pub requests: Mutex<Vec<String>>,
}

impl PiServer {
    pub async fn start() -> Self {
        Self::start_at(0, Arc::default()).await
    }

    pub async fn start_at(port: u16, plant: Arc<PiPlant>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new()
            .route("/piwebapi/", get(|| async { axum::Json(json!({ "Links": {} })) }))
            .route("/piwebapi/batch", post(batch))
            .route("/piwebapi/streams/{web_id}/value", get(value))
            .route("/piwebapi/streams/{web_id}/recorded", get(recorded))
            .route("/piwebapi/dataservers", get(|| async { axum::Json(json!({ "Items": [{ "WebId": "DS1" }] })) }))
            .route("/piwebapi/dataservers/{web_id}/points", get(points))
            .route("/moved/{*rest}", any(|| async { Redirect::temporary("http://127.0.0.1:9/piwebapi/") }))
            .layer(axum::middleware::from_fn_with_state(plant.clone(), guard))
            .with_state(plant.clone());
        let serve = async move { axum::serve(listener, router).await.expect("it serves") };
        Self { port, plant, task: spawn_task(serve) }
    }

    pub fn hold(&self, web_id: &str, value: Value) {
        self.plant.values.lock().expect("no panic").insert(web_id.to_owned(), value);
    }

    pub fn stop(self) -> (u16, Arc<PiPlant>) {
        self.task.abort();
        (self.port, self.plant.clone())
    }

    pub fn requests(&self) -> Vec<String> {
        self.plant.requests.lock().expect("no panic").clone()
    }
}

async fn guard(
    State(plant): State<Arc<PiPlant>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    plant.requests.lock().expect("no panic").push(format!("{method} {}", uri.path()));
    if plant.hangs.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let credential = headers.get("authorization").and_then(|value| value.to_str().ok());
    match credential {
        Some(BASIC | BEARER) => (),
        Some("Bearer forbidden") => return StatusCode::FORBIDDEN.into_response(),
        _ => return StatusCode::UNAUTHORIZED.into_response(),
    }
    if method == Method::POST && !headers.contains_key("x-requested-with") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut response = next.run(request).await;
    // A connection that is kept would outlive the server.
    response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    response
}

fn held(plant: &PiPlant, web_id: &str) -> Option<Value> {
    plant.values.lock().expect("no panic").get(web_id).cloned()
}

fn not_found() -> Value {
    json!({ "Errors": ["The specified WebId was not found."] })
}

async fn value(State(plant): State<Arc<PiPlant>>, Path(web_id): Path<String>) -> Response {
    match held(&plant, &web_id) {
        Some(value) => axum::Json(value).into_response(),
        None => (StatusCode::NOT_FOUND, axum::Json(not_found())).into_response(),
    }
}

async fn batch(State(plant): State<Arc<PiPlant>>, body: Bytes) -> Response {
    if plant.without_batches.load(Ordering::Relaxed) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let requests: Map<String, Value> = serde_json::from_slice(&body).expect("a batch");
    let mut answers = Map::new();
    for (key, request) in requests {
        let resource = request["Resource"].as_str().expect("a resource");
        let path = resource.split_once("/piwebapi/").expect("an absolute URL").1.split('?').next().unwrap_or_default();
        plant
            .requests
            .lock()
            .expect("no panic")
            .push(format!("{} /piwebapi/{path}", request["Method"].as_str().expect("a method")));
        let web_id = path.trim_start_matches("streams/").trim_end_matches("/value");
        let found = held(&plant, web_id);
        let status = if found.is_some() { 200 } else { 404 };
        answers.insert(key, json!({ "Status": status, "Headers": {}, "Content": found.unwrap_or_else(not_found) }));
    }
    (StatusCode::MULTI_STATUS, axum::Json(answers)).into_response()
}

async fn recorded(
    State(plant): State<Arc<PiPlant>>,
    Path(web_id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let recorded = plant.recorded.lock().expect("no panic").get(&web_id).cloned();
    let Some(items) = recorded else { return (StatusCode::NOT_FOUND, axum::Json(not_found())).into_response() };
    let (start, end) = (query["startTime"].clone(), query["endTime"].clone());
    let time = |item: &Value| super::time(item["Timestamp"].as_str().unwrap_or_default());
    let within = items.into_iter().filter(|item| (super::time(&start)..=super::time(&end)).contains(&time(item)));
    let items: Vec<_> = within.take(query["maxCount"].parse().expect("a number")).collect();
    axum::Json(json!({ "Items": items, "UnitsAbbreviation": "bar" })).into_response()
}

async fn points(Query(query): Query<HashMap<String, String>>) -> Response {
    let points = [("P1", "PIT-1001", "Discharge pressure", "bar"), ("P2", "TIT-1001", "", "")];
    let items = points.map(|(id, name, description, unit)| {
        json!({ "WebId": id, "Name": name, "Descriptor": description, "EngineeringUnits": unit })
    });
    let count = query["maxCount"].parse().expect("a number");
    axum::Json(json!({ "Items": items.into_iter().take(count).collect::<Vec<_>>() })).into_response()
}

#[expect(clippy::disallowed_methods, reason = "the test's own task, which it ends itself")]
fn spawn_task(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
