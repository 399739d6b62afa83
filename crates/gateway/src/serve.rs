//! Accepts connections and serves the edge on them: with a limit on connections, on how long a client may take to send
//! a header (axum itself sets none), and with a graceful end.

use crate::readiness::Readiness;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::ports::IdGen;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// The edge, ready to be served.
pub type Edge = Router;

/// What one listener takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most connections at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Longest time to send a request's header.
    pub header_read: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 4_096, header_read: crate::GatewaySettings::HEADER_READ_TIMEOUT }
    }
}

/// Serves `edge` on `listener` until `stop`, then takes no new connection and returns once the last request, streams
/// included, has been answered.
pub async fn serve(listener: Arc<TcpListener>, edge: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_read);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(20));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let service = edge.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let service = hyper_util::service::TowerToHyperService::new(service);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            // A client that breaks off is its own affair.
            let _ = watched.await;
            drop(slot);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    connections.close();
    connections.wait().await;
}

/// The next connection with a slot. `None`: the kernel refused one (too many open files, say); a moment passed.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
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
    let edge = Router::new().route("/metrics", get(metrics)).with_state(registry);
    serve(Arc::new(listener), edge, Limits { max_connections: 64, ..Limits::default() }, stop).await;
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
    let edge = crate::routes::starting(readiness, ids);
    serve(listener, edge, Limits { max_connections: 64, ..Limits::default() }, stop).await;
}
