//! A maintenance system that speaks the interfaces of all three kinds as they are documented, and fails as real ones
//! do.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How the server treats the next request that creates an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Creates the order, and answers 500.
    CreateThen500,
    /// Answers 500 without an order.
    Answer500,
    /// Answers 500 without an order, and repeats what it was sent.
    Echo500,
    /// Creates the order, and never answers.
    CreateThenHang,
    /// Creates nothing, and never answers.
    Hang,
    /// Never answers, and creates the order one second after the next search, whether or not the client is still there.
    CreateLate,
    /// Creates the order, and breaks off in its answer.
    CreateThenReset,
    /// Creates the order, and answers with something else than JSON.
    CreateThenGarbage,
    /// Creates the order, and answers that there is one already.
    CreateThenConflict,
    /// Creates the order after two seconds.
    Slow,
    /// Answers 401, and repeats what it was sent.
    Unauthorized,
    /// Answers with a redirect to itself.
    Redirect,
    /// Refuses the order in its own words.
    Refuse,
    /// SAP: the token has ended.
    StaleToken,
    /// SAP: the session has ended.
    LostSession,
}

/// A request that the server got.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
}

/// A running maintenance system. Dropping it stops the server.
pub struct MaintenanceServer {
    /// Address for `config.base_url`.
    pub url: String,
    /// Host and port, as approvers see them.
    pub host: String,
    state: Arc<ServerState>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct ServerState {
    inner: Mutex<Inner>,
    /// Requests that create an order and are not answered yet.
    open: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    orders: Vec<Value>,
    received: Vec<Received>,
    fault: Option<Fault>,
    searches_fail: bool,
    /// The order that the next search leads to.
    late: Option<Bytes>,
    /// Number of sessions so far; all of them are valid.
    sessions: usize,
}

/// Counts a request as open until it is answered or its client disconnects.
struct OpenRequest(Arc<ServerState>);

impl OpenRequest {
    fn new(state: &Arc<ServerState>) -> Self {
        state.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What distinguishes the three interfaces.
#[derive(Clone, Copy)]
struct Dialect {
    answer: fn(&Value) -> Value,
    list: fn(Vec<Value>) -> Value,
    error: fn(&str) -> Value,
}

const REST: Dialect = Dialect {
    answer: |order| json!({ "id": order["id"], "external_reference": order["external_reference"], "status": "open" }),
    list: |orders| json!({ "data": orders }),
    error: |words| json!({ "detail": words }),
};
const MAXIMO: Dialect = Dialect {
    answer: |order| json!({ "ticketid": order["id"], "status": "NEW", "href": "oslc/os/mxapisr/_1" }),
    list: |orders| json!({ "member": orders, "responseInfo": {} }),
    error: |words| json!({ "Error": { "reasonCode": "BMXAA4195E", "message": words, "statusCode": "400" } }),
};
const SAP: Dialect = Dialect {
    answer: |order| json!({ "d": { "MaintenanceNotification": order["id"] } }),
    list: |orders| json!({ "d": { "results": orders } }),
    error: |words| json!({ "error": { "code": "IM/123", "message": { "lang": "en", "value": words } } }),
};
const SAP_SERVICE: &str = "/sap/opu/odata/sap/API_MAINTNOTIFICATION";

impl MaintenanceServer {
    pub async fn start() -> Self {
        let state = Arc::new(ServerState::default());
        let app = Router::new()
            .route("/work-orders", get(find_rest).post(create_rest))
            .route("/maximo/api/os/{structure}", get(find_maximo).post(create_maximo))
            .route(&format!("{SAP_SERVICE}/"), get(begin_session))
            .route(&format!("{SAP_SERVICE}/MaintenanceNotification"), get(find_sap).post(create_sap))
            .layer(middleware::from_fn_with_state(Arc::clone(&state), record))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url: format!("http://{host}"), host, state, _tasks: tasks }
    }

    /// Sets how the next request that creates an order is treated.
    pub fn set_fault(&self, fault: Fault) {
        self.inner().fault = Some(fault);
    }

    /// Sets whether searches are answered 500.
    pub fn set_searches_fail(&self, fail: bool) {
        self.inner().searches_fail = fail;
    }

    /// The bodies of the orders with this external reference.
    pub fn orders(&self, reference: &Value) -> Vec<Value> {
        self.inner().orders.iter().filter(|order| has_reference(order, reference)).cloned().collect()
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.inner().received.clone()
    }

    /// Number of requests that create an order and are not answered yet.
    pub fn open_requests(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.inner()
    }
}

impl ServerState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }

    fn find(self: &Arc<Self>, reference: &str, dialect: Dialect) -> Response {
        let mut inner = self.inner();
        if let Some(body) = inner.late.take() {
            let state = Arc::clone(self);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(1));
                state.store(&body);
            });
        }
        if inner.searches_fail {
            return answer(500, &(dialect.error)("The index is being rebuilt."));
        }
        let reference = Value::from(reference);
        let found = inner.orders.iter().filter(|order| has_reference(order, &reference));
        let found = found.map(|order| {
            let mut listed = order.clone();
            for name in ["ticketid", "MaintenanceNotification"] {
                listed[name] = order["id"].clone();
            }
            listed
        });
        answer(200, &(dialect.list)(found.collect()))
    }

    /// Stores the order and returns it with its number.
    fn store(&self, body: &Bytes) -> Value {
        let mut order: Value = serde_json::from_slice(body).expect("JSON");
        let mut inner = self.inner();
        order["id"] = json!(format!("{}", 10_000_001 + inner.orders.len()));
        inner.orders.push(order.clone());
        order
    }

    async fn create(self: Arc<Self>, headers: &HeaderMap, body: &Bytes, dialect: Dialect) -> Response {
        let _open = OpenRequest::new(&self);
        let fault = self.inner().fault.take();
        let error = |status, words: &str| answer(status, &(dialect.error)(words));
        match fault {
            None => {}
            Some(Fault::Slow) => tokio::time::sleep(Duration::from_secs(2)).await,
            Some(Fault::Answer500) => return error(500, "No database."),
            Some(Fault::Echo500) => return error(500, &String::from_utf8_lossy(body)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::CreateLate) => {
                self.inner().late = Some(body.clone());
                std::future::pending().await
            }
            Some(Fault::Unauthorized) => {
                let credential = headers.get("authorization").or_else(|| headers.get("apikey"));
                let credential = credential.and_then(|value| value.to_str().ok()).unwrap_or_default();
                return error(401, &format!("Not known: {credential}"));
            }
            Some(Fault::Redirect) => {
                return (StatusCode::TEMPORARY_REDIRECT, [("location", "/work-orders")]).into_response();
            }
            Some(Fault::Refuse) => return error(400, "<b>The asset</b>\nP-101A is not known."),
            Some(Fault::StaleToken | Fault::LostSession) => {
                return (StatusCode::FORBIDDEN, [("x-csrf-token", "Required")], "CSRF token validation failed")
                    .into_response();
            }
            Some(Fault::CreateThen500) => {
                self.store(body);
                return error(500, "The workflow failed.");
            }
            Some(Fault::CreateThenHang) => {
                self.store(body);
                std::future::pending().await
            }
            Some(Fault::CreateThenConflict) => {
                self.store(body);
                return error(409, "There is one with this reference.");
            }
            Some(Fault::CreateThenGarbage) => {
                self.store(body);
                return (StatusCode::CREATED, "<html>Created</html>").into_response();
            }
            Some(Fault::CreateThenReset) => {
                self.store(body);
                let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
                return (StatusCode::CREATED, Body::from_stream(broken)).into_response();
            }
        }
        answer(201, &(dialect.answer)(&self.store(body)))
    }
}

fn has_reference(order: &Value, reference: &Value) -> bool {
    ["external_reference", "externalrecid", "YY1_ExternalReference"].iter().any(|field| order[field] == *reference)
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

async fn record(State(state): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let received = Received {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
    };
    state.inner().received.push(received);
    next.run(request).await
}

/// What stands between the first pair of quotation marks of this kind.
fn quoted(text: &str, mark: char) -> &str {
    text.split(mark).nth(1).unwrap_or_default()
}

async fn find_rest(State(state): State<Arc<ServerState>>, Query(query): Query<HashMap<String, String>>) -> Response {
    state.find(&query["external_reference"], REST)
}

async fn create_rest(State(state): State<Arc<ServerState>>, headers: HeaderMap, body: Bytes) -> Response {
    state.create(&headers, &body, REST).await
}

async fn find_maximo(
    State(state): State<Arc<ServerState>>,
    Path(_structure): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    assert_eq!(query["lean"], "1");
    state.find(quoted(&query["oslc.where"], '"'), MAXIMO)
}

async fn create_maximo(
    State(state): State<Arc<ServerState>>,
    Path(_structure): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    state.create(&headers, &body, MAXIMO).await
}

async fn begin_session(State(state): State<Arc<ServerState>>, headers: HeaderMap) -> Response {
    assert_eq!(headers.get("x-csrf-token").map(|value| value.as_bytes()), Some(&b"Fetch"[..]));
    let mut inner = state.inner();
    inner.sessions += 1;
    let token = format!("token-{}", inner.sessions);
    let cookie = format!("SAP_SESSIONID=session-{}; path=/; HttpOnly", inner.sessions);
    (StatusCode::OK, [("x-csrf-token", token), ("set-cookie", cookie)], "{\"d\":{}}").into_response()
}

async fn find_sap(State(state): State<Arc<ServerState>>, Query(query): Query<HashMap<String, String>>) -> Response {
    state.find(quoted(&query["$filter"], '\''), SAP)
}

async fn create_sap(State(state): State<Arc<ServerState>>, headers: HeaderMap, body: Bytes) -> Response {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // SAP accepts a token only in the session in which it was fetched.
    let token = value("x-csrf-token");
    let session = token.strip_prefix("token-").and_then(|number| number.parse::<usize>().ok()).unwrap_or_default();
    let is_valid = (1..=state.inner().sessions).contains(&session)
        && value("cookie") == format!("SAP_SESSIONID=session-{session}");
    if !is_valid {
        return (StatusCode::FORBIDDEN, [("x-csrf-token", "Required")]).into_response();
    }
    state.create(&headers, &body, SAP).await
}
