//! HTTP/2 connections: they do not hold a place for ever, and what is in hand on them is answered.

use crate::sockets::{SHORT, Server, gate, limits, started_once};
use crate::support::{router, settings};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::command::SendMessage;
use futures::StreamExt as _;
use gateway::serve::Limits;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// A connection that says nothing of its own accord and answers every ping.
async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(server.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    (sender, TaskTracker::new().spawn(connection))
}

fn get_me() -> Request<Body> {
    let request = Request::get("http://x/v1/me").header("authorization", "Bearer token");
    request.body(Body::empty()).expect("a request")
}

fn chat() -> Request<Body> {
    let path = "http://x/v1/conversations/00000000-0000-0000-0000-000000000001/chat";
    let request =
        Request::post(path).header("authorization", "Bearer token").header("content-type", "application/json");
    request.body(Body::from(r#"{"message":"hi"}"#)).expect("a request")
}

async fn first_frame(body: &mut Incoming) -> bool {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await.is_some_and(|frame| frame.is_ok())
}

fn streaming() -> policy::gate::MockGate {
    let mut gate = gate();
    gate.on::<SendMessage>(|_, _| Ok(futures::stream::iter(started_once()).chain(futures::stream::pending()).boxed()));
    gate
}

#[tokio::test]
async fn a_connection_that_rests_is_closed() {
    let server = Server::start(router(gate(), settings()), Limits { idle: SHORT, ..limits() }).await;
    let (mut sender, connection) = connect(&server).await;
    let answer = sender.send_request(get_me()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    let begun = Instant::now();
    let closed = tokio::time::timeout(SHORT * 8, connection).await;
    assert!(closed.is_ok(), "still open after {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_event_stream_is_not_idle_and_outlives_the_age_of_its_connection() {
    let limits = Limits { idle: SHORT, max_age: SHORT, ..limits() };
    let keep_alive = Duration::from_millis(100);
    let edge = router(streaming(), gateway::GatewaySettings { keep_alive, ..settings() });
    let server = Server::start(edge, limits).await;
    let (mut sender, connection) = connect(&server).await;
    let answer = sender.send_request(chat()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 3 {
        assert!(first_frame(&mut body).await, "cut off after {:?}", begun.elapsed());
    }
    assert!(sender.send_request(get_me()).await.is_err(), "too old for another request");
    drop(body);
    assert!(tokio::time::timeout(SHORT * 8, connection).await.is_ok(), "closed with its last request");
}

#[tokio::test]
async fn a_connection_has_so_many_requests_at_once_and_no_more() {
    let server = Server::start(router(streaming(), settings()), Limits { max_streams: 2, ..limits() }).await;
    let (mut sender, _connection) = connect(&server).await;
    sender.send_request(get_me()).await.expect("the server's settings have come with it");
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut body = sender.send_request(chat()).await.expect("an answer").into_body();
        assert!(first_frame(&mut body).await);
        streams.push(body);
    }
    let mut third = Box::pin(sender.send_request(get_me()));
    assert!(tokio::time::timeout(SHORT, &mut third).await.is_err(), "a third waits");
    streams.pop();
    let answer = tokio::time::timeout(SHORT * 8, third).await.expect("in time").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}
