//! Hostile and slow clients, over real sockets and in real time: the server disconnects them, and keeps serving other
//! clients.

use crate::support::{account, caller, event_stream, router, settings, started_event};
use axum::Router;
use domain::command::{ListMemories, ReadAccount, SendMessage};
use domain::page::Page;
use domain::role::Role;
use domain::run::{EventStream, NumberedEvent, RunEvent};
use fakes::eventually;
use futures::StreamExt;
use gateway::GatewaySettings;
use gateway::serve::{Limits, serve};
use policy::gate::MockGate;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Timeouts of the server under test.
pub const SERVER_TIMEOUT: Duration = Duration::from_millis(400);
/// Maximum time that a client waits. Only a test that fails waits this long.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    pub async fn start(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serving = serve(Arc::new(listener), router, limits, stop.clone());
        tokio_util::task::TaskTracker::new().spawn(serving);
        Self { address, _stop: stop.drop_guard() }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn connect_from(&self, source_address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((IpAddr::from(source_address), 0).into()).expect("an address of the loopback network");
        socket.connect(self.address).await.expect("a connection")
    }

    /// Sends a request on a new connection and returns the response.
    async fn send(&self, request: &str) -> String {
        send(self.connect().await, request).await
    }

    /// Opens a connection, sends these bytes and leaves it open.
    async fn connect_and_send(&self, bytes: &str) -> TcpStream {
        let mut connection = self.connect().await;
        connection.write_all(bytes.as_bytes()).await.expect("the bytes are sent");
        connection
    }

    /// Waits until no request is in flight, for a server that allows one at a time.
    async fn wait_until_idle(&self) {
        eventually("no request is in flight", || async {
            self.send(&get("/v1/me", "")).await.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    }
}

/// Sends bytes and reads until the server closes the connection.
async fn send(mut connection: TcpStream, bytes: &str) -> String {
    connection.write_all(bytes.as_bytes()).await.expect("the bytes are sent");
    let mut response = Vec::new();
    let reading = connection.read_to_end(&mut response);
    // A connection reset ends the response as well.
    let _ = tokio::time::timeout(CLIENT_TIMEOUT, reading).await.expect("a response in time");
    String::from_utf8_lossy(&response).into_owned()
}

/// Waits until the server closes the connection and returns how long that took.
async fn time_until_closed(mut connection: TcpStream) -> Duration {
    let started_at = Instant::now();
    let mut rest = Vec::new();
    // A reset closes the connection as well.
    let _ = tokio::time::timeout(CLIENT_TIMEOUT, connection.read_to_end(&mut rest)).await.expect("closed in time");
    started_at.elapsed()
}

pub fn limits() -> Limits {
    Limits { header_read_timeout: SERVER_TIMEOUT, ..Limits::new(8) }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token\r\n{headers}connection: close\r\n\r\n")
}

pub fn gate() -> MockGate {
    let mut gate = MockGate::new();
    gate.on_authenticate(|_, _| Ok(caller(Role::User)));
    gate.on::<ReadAccount>(|_, _| Ok(account(Role::User)));
    gate
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    let mut silent_connections = Vec::new();
    for _ in 0..60 {
        silent_connections.push(server.connect().await);
        if silent_connections.len() % 10 == 0 {
            let started_at = Instant::now();
            let response = server.send(&get("/v1/me", "")).await;
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
            assert!(
                started_at.elapsed() < Duration::from_millis(300),
                "{:?} with {} silent connections open",
                started_at.elapsed(),
                silent_connections.len()
            );
        }
    }
    for connection in silent_connections {
        assert!(time_until_closed(connection).await < SERVER_TIMEOUT * 4);
    }
}

#[tokio::test]
async fn slow_headers_end_the_connection_in_both_protocols() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    for start in
        ["GET /v1/me HTTP/1.1\r\nhost: x\r\nx: ", "P", "PRI * HTTP/2.0\r\n\r\nSM", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut connection = server.connect().await;
        let started_at = Instant::now();
        connection.write_all(start.as_bytes()).await.expect("the bytes are sent");
        while started_at.elapsed() < CLIENT_TIMEOUT && connection.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(started_at.elapsed() < SERVER_TIMEOUT * 4, "{start:?}: {:?}", started_at.elapsed());
    }
}

#[tokio::test]
async fn one_peer_cannot_take_all_connections() {
    let mut gate = gate();
    gate.on::<SendMessage>(|_, _| Ok(endless_run()));
    let server = Server::start(router(gate, settings()), Limits { max_connections_per_peer: 3, ..limits() }).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect_and_send(&chat_request()).await;
        let mut first = [0; 64];
        stream.read_exact(&mut first).await.expect("the start of the stream");
        streams.push(stream);
    }
    assert!(
        time_until_closed(server.connect().await).await < SERVER_TIMEOUT,
        "the fourth connection is closed at once"
    );
    let response = send(server.connect_from([127, 0, 0, 2]).await, &get("/v1/me", "")).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    drop(streams);
}

/// Returns the events of a run that starts and never ends.
pub fn endless_run() -> EventStream {
    event_stream(vec![started_event()]).chain(futures::stream::pending()).boxed()
}

fn chat_request() -> String {
    let body = r#"{"message":"m"}"#;
    format!(
        "POST /v1/conversations/00000000-0000-0000-0000-000000000001/chat HTTP/1.1\r\n\
         host: x\r\nauthorization: Bearer t\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sets the flag when it is dropped.
struct DropFlag(Arc<AtomicBool>);

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_little_is_buffered() {
    let (event_count, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, flag) = (Arc::clone(&event_count), Arc::clone(&dropped));
    let mut gate = gate();
    gate.on::<SendMessage>(move |_, _| {
        let (count, guard) = (Arc::clone(&count), DropFlag(Arc::clone(&flag)));
        let endless = futures::stream::iter(2_u64..).map(move |seq| {
            let _owned = &guard;
            count.fetch_add(1, Ordering::SeqCst);
            NumberedEvent { seq, event: RunEvent::Delta { text: "x".repeat(10_000) } }
        });
        Ok(event_stream(vec![started_event()]).chain(endless).boxed())
    });
    let limits = Limits { write_timeout: SERVER_TIMEOUT, ..limits() };
    let server = Server::start(router(gate, settings()), limits).await;
    let _client = server.connect_and_send(&chat_request()).await;
    eventually("the server drops the stream", || async { dropped.load(Ordering::SeqCst).then_some(()) }).await;
    // The limit covers the socket buffers of both ends and a few hundred KiB in the server.
    let bytes = event_count.load(Ordering::SeqCst) * 10_000;
    assert!(bytes < 20 << 20, "{bytes} bytes were produced although the client reads nothing");
}

#[tokio::test]
async fn headers_and_targets_have_a_limited_size_and_a_large_token_fits() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    let token = "t".repeat(16 << 10);
    let large = format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    let response = server.send(&large).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{}", &response[..60.min(response.len())]);
    let lines: String = (0..120).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = get(&format!("/v1/me?{}", "q".repeat(9 << 10)), "");
    for (request, status) in
        [(get("/v1/me", &format!("x: {}\r\n", "y".repeat(70 << 10))), 431), (get("/v1/me", &lines), 431), (long, 414)]
    {
        let response = server.send(&request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        assert!(
            response.contains("application/problem+json") && response.contains(&format!("\"status\":{status}")),
            "{response}"
        );
    }
}

/// A gate that counts requests for memories and blocks them until `lock` is free, and whose runs never end.
fn blocking_gate(lock: &Arc<Mutex<()>>, request_count: &Arc<AtomicUsize>) -> MockGate {
    let mut gate = gate();
    let (lock, request_count) = (Arc::clone(lock), Arc::clone(request_count));
    gate.on::<ListMemories>(move |_, _| {
        request_count.fetch_add(1, Ordering::SeqCst);
        tokio::task::block_in_place(|| drop(lock.lock()));
        Ok(Page { items: Vec::new(), next: None })
    });
    gate.on::<SendMessage>(|_, _| Ok(futures::stream::pending().boxed()));
    gate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn requests_above_the_limit_are_refused_at_once_and_the_others_are_answered() {
    let (lock, request_count) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    // One request at a time: the mock handles calls sequentially, and a second call would block its thread.
    let settings = GatewaySettings { max_in_flight: 1, ..settings() };
    let server = Server::start(router(blocking_gate(&lock, &request_count), settings), Limits::new(64)).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(server.connect_and_send(&chat_request()).await);
        server.wait_until_idle().await;
    }
    let lock_guard = lock.lock();
    let in_flight = server.connect_and_send(&get("/v1/memories", "")).await;
    eventually("the request is in flight", || async { (request_count.load(Ordering::SeqCst) == 1).then_some(()) })
        .await;
    for _ in 0..10 {
        let started_at = Instant::now();
        let response = server.send(&get("/v1/me", "")).await;
        assert!(started_at.elapsed() < Duration::from_millis(50), "{:?}", started_at.elapsed());
        assert!(response.starts_with("HTTP/1.1 503"), "{response}");
        assert!(response.contains("retry-after: 1\r\n") && response.contains("\"code\":\"overloaded\""), "{response}");
        assert!(server.send(&get("/health", "")).await.starts_with("HTTP/1.1 200"));
    }
    drop(lock_guard);
    assert!(send(in_flight, "").await.starts_with("HTTP/1.1 200"));
    let response = server.send(&get("/v1/me", "")).await;
    assert!(response.starts_with("HTTP/1.1 200"), "turns that wait for a model do not count as in flight: {response}");
}

#[tokio::test]
async fn slow_request_bodies_do_not_count_as_in_flight_and_are_aborted() {
    let authentications = Arc::new(AtomicUsize::new(0));
    let mut gate = gate();
    let counter = Arc::clone(&authentications);
    gate.on_authenticate(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(caller(Role::User))
    });
    let settings = GatewaySettings { max_in_flight: 1, body_read_timeout: SERVER_TIMEOUT * 2, ..settings() };
    let server = Server::start(router(gate, settings), Limits::new(64)).await;
    let head = "POST /v1/memories HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\ncontent-type: application/json\r\n\
                content-length: 900\r\nconnection: close\r\n\r\n{";
    let mut slow_connections = Vec::new();
    for n in 1..=20 {
        slow_connections.push(server.connect_and_send(head).await);
        eventually("the request passed authentication", || async {
            (authentications.load(Ordering::SeqCst) == n).then_some(())
        })
        .await;
    }
    let response = server.send(&get("/v1/me", "")).await;
    assert!(
        response.starts_with("HTTP/1.1 200"),
        "requests that wait for their body do not count as in flight: {response}"
    );
    for connection in slow_connections {
        let response = send(connection, "").await;
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    }
}
