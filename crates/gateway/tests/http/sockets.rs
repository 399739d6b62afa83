//! Clients that mean ill or are slow, over real sockets: they cost little, they go, and the others are served meanwhile.

use crate::support::{account, caller, router, settings, started};
use axum::Router;
use domain::command::{ListMemories, ReadAccount, SendMessage};
use domain::page::Page;
use domain::role::Role;
use domain::run::{NumberedEvent, RunEvent};
use futures::StreamExt;
use gateway::GatewaySettings;
use gateway::serve::{Limits, serve};
use policy::gate::MockGate;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const SHORT: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    pub async fn start(edge: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let serving = serve(Arc::new(listener), edge, limits, stop.clone());
        tokio_util::task::TaskTracker::new().spawn(serving);
        Self { address, _stop: stop.drop_guard() }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn connect_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((IpAddr::from(from), 0).into()).expect("an address of the loopback network");
        socket.connect(self.address).await.expect("a connection")
    }

    /// Sends a request on a connection of its own; the whole answer.
    async fn ask(&self, request: &str) -> String {
        say(self.connect().await, request).await
    }
}

/// Sends bytes and reads to the end.
async fn say(mut connection: TcpStream, bytes: &str) -> String {
    connection.write_all(bytes.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let reading = connection.read_to_end(&mut answer);
    let _broken_off_counts_as_the_end = tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// How long until the server closes.
async fn closed(mut connection: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _reset_counts_too =
        tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await.expect("closed in time");
    begun.elapsed()
}

pub fn limits() -> Limits {
    Limits { header_read: SHORT, ..Limits::of(8) }
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token\r\n{more}connection: close\r\n\r\n")
}

pub fn gate() -> MockGate {
    let mut gate = MockGate::new();
    gate.on_login(|_, _| Ok(caller(Role::User)));
    gate.on::<ReadAccount>(|_, _| Ok(account(Role::User)));
    gate
}

#[tokio::test]
async fn silent_connections_in_any_number_keep_nobody_out() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(server.connect().await);
        if silent.len() % 10 == 0 {
            let begun = Instant::now();
            let answer = server.ask(&get("/v1/me", "")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(begun.elapsed() < Duration::from_millis(300), "{:?} beside {}", begun.elapsed(), silent.len());
        }
    }
    for connection in silent {
        assert!(closed(connection).await < SHORT * 4);
    }
}

#[tokio::test]
async fn a_header_that_dribbles_is_cut_off_in_either_protocol() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    for beginning in
        ["GET /v1/me HTTP/1.1\r\nhost: x\r\nx: ", "P", "PRI * HTTP/2.0\r\n\r\nSM", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut connection = server.connect().await;
        let begun = Instant::now();
        connection.write_all(beginning.as_bytes()).await.expect("sent");
        let dribbling = async {
            // Whatever comes first, an error of ours or the end of what the server says.
            while begun.elapsed() < PATIENCE && connection.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        dribbling.await;
        assert!(begun.elapsed() < SHORT * 4, "{beginning:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn one_peer_does_not_take_all_places() {
    let mut gate = gate();
    gate.on::<SendMessage>(|_, _| Ok(futures::stream::iter(started_once()).chain(futures::stream::pending()).boxed()));
    let server = Server::start(router(gate, settings()), Limits { max_of_a_peer: 3, ..limits() }).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(chat().as_bytes()).await.expect("sent");
        let mut first = [0; 64];
        stream.read_exact(&mut first).await.expect("the stream began");
        streams.push(stream);
    }
    assert!(closed(server.connect().await).await < SHORT, "a fourth is closed at once");
    let answer = say(server.connect_from([127, 0, 0, 2]).await, &get("/v1/me", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(streams);
}

pub fn started_once() -> Vec<NumberedEvent> {
    vec![NumberedEvent { seq: 1, event: started() }]
}

fn chat() -> String {
    let body = r#"{"message":"m"}"#;
    format!(
        "POST /v1/conversations/00000000-0000-0000-0000-000000000001/chat HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_and_costs_little() {
    let (made, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, flag) = (Arc::clone(&made), Arc::clone(&gone));
    let mut gate = gate();
    gate.on::<SendMessage>(move |_, _| {
        let (count, guard) = (Arc::clone(&count), Gone(Arc::clone(&flag)));
        let endless = futures::stream::iter(2_u64..).map(move |seq| {
            let _held = &guard;
            count.fetch_add(1, Ordering::SeqCst);
            NumberedEvent { seq, event: RunEvent::Delta { text: "x".repeat(10_000) } }
        });
        Ok(futures::stream::iter(started_once()).chain(endless).boxed())
    });
    let limits = Limits { write_stall: SHORT, ..limits() };
    let server = Server::start(router(gate, settings()), limits).await;
    let mut reader = server.connect().await;
    reader.write_all(chat().as_bytes()).await.expect("sent");
    let begun = Instant::now();
    while !gone.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < PATIENCE, "the reader is still there, {} events later", made.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What the systems at both ends hold, and a few hundred KiB of ours.
    let bytes = made.load(Ordering::SeqCst) * 10_000;
    assert!(bytes < 20 << 20, "{bytes} bytes were made for nobody");
}

#[tokio::test]
async fn headers_and_addresses_have_bounds_and_a_large_token_fits() {
    let server = Server::start(router(gate(), settings()), limits()).await;
    let token = "t".repeat(16 << 10);
    let large = format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    let answer = server.ask(&large).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..60.min(answer.len())]);
    let lines: String = (0..120).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = get(&format!("/v1/me?{}", "q".repeat(9 << 10)), "");
    for (request, status) in
        [(get("/v1/me", &format!("x: {}\r\n", "y".repeat(70 << 10))), 431), (get("/v1/me", &lines), 431), (long, 414)]
    {
        let answer = server.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains(&format!("\"status\":{status}")),
            "{answer}"
        );
    }
}

/// A gate whose lists wait for `hold`, and whose turns wait for ever.
fn busy_gate(hold: &Arc<Mutex<()>>) -> MockGate {
    let mut gate = gate();
    let hold = Arc::clone(hold);
    gate.on::<ListMemories>(move |_, _| {
        tokio::task::block_in_place(|| drop(hold.lock()));
        Ok(Page { items: Vec::new(), next: None })
    });
    gate.on::<SendMessage>(|_, _| Ok(futures::stream::pending().boxed()));
    gate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn more_than_can_be_answered_is_refused_at_once_and_the_rest_is_answered() {
    let hold = Arc::new(Mutex::new(()));
    // One at a time: a mock answers its calls one after the other, and a second one would wait for the first where the
    // runtime does not know of it, with whatever that thread had to do next.
    let edge = router(busy_gate(&hold), GatewaySettings { max_in_flight: 1, ..settings() });
    let server = Server::start(edge, Limits::of(64)).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        let mut connection = server.connect().await;
        connection.write_all(chat().as_bytes()).await.expect("sent");
        turns.push(connection);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = hold.lock();
    let mut at_work = server.connect().await;
    at_work.write_all(get("/v1/memories", "").as_bytes()).await.expect("sent");
    tokio::time::sleep(SHORT).await;
    for _ in 0..10 {
        let begun = Instant::now();
        let answer = server.ask(&get("/v1/me", "")).await;
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n") && answer.contains("\"code\":\"overloaded\""), "{answer}");
        assert!(server.ask(&get("/health", "")).await.starts_with("HTTP/1.1 200"));
    }
    drop(held);
    assert!(say(at_work, "").await.starts_with("HTTP/1.1 200"));
    let answer = server.ask(&get("/v1/me", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "turns that wait for a model are not in hand: {answer}");
}

#[tokio::test]
async fn bodies_that_dribble_hold_nobody_up_and_are_given_up() {
    let edge = router(gate(), GatewaySettings { max_in_flight: 1, body_stall: SHORT * 2, ..settings() });
    let server = Server::start(edge, Limits::of(64)).await;
    let head = "POST /v1/memories HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\ncontent-type: application/json\r\n\
                content-length: 900\r\nconnection: close\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut connection = server.connect().await;
        connection.write_all(head.as_bytes()).await.expect("sent");
        slow.push(connection);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = server.ask(&get("/v1/me", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "one at a time, and those that wait do not count: {answer}");
    for connection in slow {
        let answer = say(connection, "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}
