//! HTTP/2 connections: idle timeout, maximum age and stream limit, with real sockets and in real time.

use crate::sockets::{SERVER_TIMEOUT, Server, endless_run, gate, limits};
use crate::support::{router, settings};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::command::SendMessage;
use gateway::serve::Limits;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Opens a connection. A spawned task answers pings; the test sends the requests.
async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(server.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    (sender, TaskTracker::new().spawn(connection))
}

fn get_me() -> Request<Body> {
    let request = Request::get("http://x/v1/me").header("authorization", "Bearer token");
    request.body(Body::empty()).expect("a request")
}

fn chat_request() -> Request<Body> {
    let path = "http://x/v1/conversations/00000000-0000-0000-0000-000000000001/chat";
    let request =
        Request::post(path).header("authorization", "Bearer token").header("content-type", "application/json");
    request.body(Body::from(r#"{"message":"hi"}"#)).expect("a request")
}

async fn has_next_frame(body: &mut Incoming) -> bool {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await.is_some_and(|frame| frame.is_ok())
}

fn gate_with_endless_run() -> policy::gate::MockGate {
    let mut gate = gate();
    gate.on::<SendMessage>(|_, _| Ok(endless_run()));
    gate
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(router(gate(), settings()), Limits { idle_timeout: SERVER_TIMEOUT, ..limits() }).await;
    let (mut sender, connection) = connect(&server).await;
    let response = sender.send_request(get_me()).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    let started = Instant::now();
    let closed = tokio::time::timeout(SERVER_TIMEOUT * 8, connection).await;
    assert!(closed.is_ok(), "still open after {:?}", started.elapsed());
}

#[tokio::test]
async fn an_event_stream_is_not_idle_and_outlives_the_maximum_age() {
    let limits = Limits { idle_timeout: SERVER_TIMEOUT, max_connection_age: SERVER_TIMEOUT, ..limits() };
    let keep_alive_interval = Duration::from_millis(100);
    let server_router = router(gate_with_endless_run(), gateway::GatewaySettings { keep_alive_interval, ..settings() });
    let server = Server::start(server_router, limits).await;
    let (mut sender, connection) = connect(&server).await;
    let response = sender.send_request(chat_request()).await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let started = Instant::now();
    while started.elapsed() < SERVER_TIMEOUT * 3 {
        assert!(has_next_frame(&mut body).await, "cut off after {:?}", started.elapsed());
    }
    assert!(sender.send_request(get_me()).await.is_err(), "the connection is too old for a new request");
    drop(body);
    assert!(
        tokio::time::timeout(SERVER_TIMEOUT * 8, connection).await.is_ok(),
        "the connection closes after its last request"
    );
}

#[tokio::test]
async fn a_connection_has_a_limited_number_of_concurrent_streams() {
    let server =
        Server::start(router(gate_with_endless_run(), settings()), Limits { max_concurrent_streams: 2, ..limits() })
            .await;
    let (mut sender, _connection) = connect(&server).await;
    sender.send_request(get_me()).await.expect("a response, which comes after the server's SETTINGS frame");
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut body = sender.send_request(chat_request()).await.expect("a response").into_body();
        assert!(has_next_frame(&mut body).await);
        streams.push(body);
    }
    let mut third = Box::pin(sender.send_request(get_me()));
    assert!(tokio::time::timeout(SERVER_TIMEOUT, &mut third).await.is_err(), "the third request waits");
    streams.pop();
    let response = tokio::time::timeout(SERVER_TIMEOUT * 8, third).await.expect("in time").expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
}
