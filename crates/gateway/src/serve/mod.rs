//! Accepts connections and serves the router on them: with a limit on connections, on how long a client may take to send
//! a header or to take an answer (axum itself sets none), and with a graceful end.

mod connections;
mod in_flight;
mod stalled;

use crate::readiness::Readiness;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connections::{Connections, Place};
use domain::ports::IdGen;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use stalled::Stalled;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The router, ready to be served.
pub type Edge = Router;

/// What one listener takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most connections at once; of more, those give way that have not sent a request, and others wait in the kernel's
    /// queue.
    pub max_connections: usize,
    /// Most connections of one peer. Behind a reverse proxy, which is one peer: as many as there are.
    pub max_of_a_peer: usize,
    /// Longest time to send a request's header; also, for a new connection to send its first.
    pub header_read: Duration,
    /// Longest time in which a peer takes nothing of what is written to it.
    pub write_stall: Duration,
    /// Longest rest of a connection without any request in hand; an event stream that is open is one.
    pub idle: Duration,
    /// From this age on a connection takes no more requests, and closes once those in hand are answered.
    pub max_age: Duration,
    /// Most requests at once on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Limits {
    /// Those for so many connections: three quarters of them for one peer.
    #[must_use]
    pub fn of(max_connections: usize) -> Self {
        Self {
            max_connections,
            max_of_a_peer: (max_connections / 4 * 3).max(1),
            header_read: crate::GatewaySettings::HEADER_READ_TIMEOUT,
            write_stall: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            max_age: Duration::from_secs(3_600),
            max_streams: 128,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(4_096)
    }
}

/// Largest header that is read at all; the router refuses smaller ones with a problem document.
const HEADER_BUFFER: usize = 128 << 10;
/// Most header lines that are read at all.
const HEADER_LINES: usize = 256;

/// Serves `router` on `listener` until `stop`, then takes no new connection and returns once the last request, streams
/// included, has been answered.
pub async fn serve(listener: Arc<TcpListener>, router: Router, limits: Limits, stop: CancellationToken) {
    let places = Connections::new(limits.max_connections, limits.max_of_a_peer);
    let connections = TaskTracker::new();
    let builder = protocols(limits);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let place = Arc::new(place);
        let (heard, router) = (Arc::clone(&place), router.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            heard.hear();
            request.extensions_mut().insert(ConnectInfo(peer));
            heard.in_flight.answer(router.clone(), request)
        });
        let stream = TokioIo::new(Stalled::new(stream, limits.write_stall));
        let connection = builder.serve_connection_with_upgrades(stream, service).into_owned();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // A client that breaks off is its own affair.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = place.evicted.cancelled() => return,
                () = silence(&place, limits.header_read) => return,
                () = stop.cancelled() => {}
                () = place.in_flight.none_for(limits.idle) => {}
                () = tokio::time::sleep(limits.max_age) => {}
            }
            connection.as_mut().graceful_shutdown();
            // What is in hand is answered; who does not close then is cut off.
            tokio::select! {
                _ = connection => {}
                () = place.in_flight.none_for(limits.header_read) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn protocols(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(HEADER_BUFFER)
        .max_headers(HEADER_LINES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(u32::try_from(HEADER_BUFFER).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.max_streams);
    builder
}

/// Returns once a connection has been open for so long without any request: whichever protocol it may have meant, and
/// however slowly it may be saying so.
async fn silence(place: &Place, at_most: Duration) {
    tokio::time::sleep(at_most).await;
    if place.was_heard() {
        std::future::pending::<()>().await;
    }
}

/// The next connection with its place. `None`: its peer has too many, or the kernel refused one (too many open files, say);
/// then a moment passed.
async fn accept(listener: &TcpListener, places: &Arc<Connections>) -> Option<(TcpStream, SocketAddr, Place)> {
    places.room().await;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer, places.admit(peer.ip())?))
        }
        Err(error) => {
            tracing::warn!(error = %error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Serves `/metrics` in the Prometheus text format, on a port of its own, until `stop`.
pub async fn serve_metrics(listener: TcpListener, registry: Registry, stop: CancellationToken) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(registry);
    serve(Arc::new(listener), router, Limits::of(64), stop).await;
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Answers health checks, and nothing else, until `stop`: the server is up and cannot serve yet.
pub async fn serve_starting(
    listener: Arc<TcpListener>,
    readiness: Arc<dyn Readiness>,
    ids: Arc<dyn IdGen>,
    stop: CancellationToken,
) {
    let router = crate::router::starting_router(readiness, ids);
    serve(listener, router, Limits::of(64), stop).await;
}
