//! Accepts connections and serves the router on them, with limits that axum does not set: on the number of
//! connections, on the time to send a header or to read a response, and on idle time and age. Shuts down
//! gracefully.

mod connection_limit;
mod in_flight;
mod write_timeout;

/// Re-exported for callers that do not depend on axum.
pub use axum::Router;

use crate::readiness::Readiness;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connection_limit::{ConnectionLimiter, ConnectionPermit};
use domain::ports::IdGen;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use write_timeout::WriteTimeout;

/// Limits of one listener and its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Maximum number of open connections. At this number, a new connection evicts one that has not sent a request yet;
    /// if there is none, it waits in the kernel's queue.
    pub max_connections: usize,
    /// Maximum number of connections of one peer. A reverse proxy counts as one peer, so behind one, set this to
    /// `max_connections`.
    pub max_connections_per_peer: usize,
    /// Maximum time to receive the header of a request, and to wait for the first request on a new connection.
    pub header_read_timeout: Duration,
    /// Maximum time that a write may be pending because the peer does not read.
    pub write_timeout: Duration,
    /// Maximum time that a connection stays open without a request in flight. An open event stream counts as in flight.
    pub idle_timeout: Duration,
    /// Age after which a connection accepts no new requests. It closes when the requests in flight have been answered.
    pub max_connection_age: Duration,
    /// Maximum number of requests in flight on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

impl Limits {
    /// Returns the default limits for this number of connections. One peer may have three quarters of them.
    #[must_use]
    pub fn new(max_connections: usize) -> Self {
        Self {
            max_connections,
            max_connections_per_peer: (max_connections / 4 * 3).max(1),
            header_read_timeout: crate::GatewaySettings::HEADER_READ_TIMEOUT,
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            max_connection_age: Duration::from_secs(3_600),
            max_concurrent_streams: 128,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(4_096)
    }
}

/// Maximum number of buffered bytes of a request's header. The router has a lower limit, above which it responds with a
/// problem document.
const MAX_HEADER_BUFFER_BYTES: usize = 128 << 10;
/// Maximum number of header lines that are parsed.
const MAX_HEADER_LINES: usize = 256;
/// Pause after a failed `accept`, for instance because too many files are open.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long to wait, after `stop`, for a connection from the kernel's queue.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(10);
/// Maximum number of connections that are accepted after `stop`.
const MAX_QUEUED: usize = 1_024;
/// How long a new connection may take to send its first request after `stop`.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(250);

/// Serves `router` on `listener` until `stop` is cancelled. After that, it accepts only connections that are already in
/// the kernel's queue, and returns when all requests in flight, including streams, have been answered.
pub async fn serve(listener: Arc<TcpListener>, router: Router, limits: Limits, stop: CancellationToken) {
    let limiter = ConnectionLimiter::new(limits.max_connections, limits.max_connections_per_peer);
    let connections = TaskTracker::new();
    let builder = connection_builder(limits);
    let mut accepted_after_stop = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => {
                let queued = tokio::time::timeout(QUEUE_TIMEOUT, accept(&listener, &limiter)).await;
                accepted_after_stop += 1;
                match queued {
                    Ok(queued) if accepted_after_stop <= MAX_QUEUED => queued,
                    _ => break,
                }
            }
            accepted = accept(&listener, &limiter) => accepted,
        };
        let Some(AcceptedConnection { stream, peer, permit }) = accepted else { continue };
        let permit = Arc::new(permit);
        let (service_permit, router) = (Arc::clone(&permit), router.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            service_permit.mark_request_received();
            request.extensions_mut().insert(ConnectInfo(peer));
            service_permit.in_flight.call(router.clone(), request)
        });
        let stream = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout));
        let connection = builder.serve_connection_with_upgrades(stream, service).into_owned();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // Errors of a connection, such as a reset by the client, are not logged.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = permit.close_token.cancelled() => return,
                () = first_request_timeout(&permit, limits.header_read_timeout) => return,
                () = stopped_between_requests(&stop, &permit) => {}
                () = permit.in_flight.idle_for(limits.idle_timeout) => {}
                () = tokio::time::sleep(limits.max_connection_age) => {}
            }
            connection.as_mut().graceful_shutdown();
            // Disconnects clients that have received all responses and do not close the connection.
            tokio::select! {
                _ = connection => {}
                () = permit.in_flight.idle_for(limits.header_read_timeout) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn connection_builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(MAX_HEADER_BUFFER_BYTES)
        .max_headers(MAX_HEADER_LINES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(u32::try_from(MAX_HEADER_BUFFER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.max_concurrent_streams);
    builder
}

/// Completes when `stop` is cancelled. On a connection that has not sent a request yet, it completes
/// [`FIRST_REQUEST_GRACE`] later: the request may be on its way, and a proxy does not resend a POST.
async fn stopped_between_requests(stop: &CancellationToken, permit: &ConnectionPermit) {
    stop.cancelled().await;
    if !permit.request_received() {
        tokio::time::sleep(FIRST_REQUEST_GRACE).await;
    }
}

/// Completes if the connection has not sent a request within `timeout`, and never completes if it has. hyper's own
/// timeout does not cover the time before it has detected the protocol.
async fn first_request_timeout(permit: &ConnectionPermit, timeout: Duration) {
    tokio::time::sleep(timeout).await;
    if permit.request_received() {
        std::future::pending::<()>().await;
    }
}

struct AcceptedConnection {
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
}

/// Accepts the next connection. Returns `None` if its peer has too many connections, or, after a pause, if `accept`
/// failed.
async fn accept(listener: &TcpListener, limiter: &Arc<ConnectionLimiter>) -> Option<AcceptedConnection> {
    limiter.ready().await;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some(AcceptedConnection { stream, peer, permit: limiter.try_acquire(peer.ip())? })
        }
        Err(error) => {
            tracing::warn!(error = %error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            None
        }
    }
}

/// Serves `/metrics` in the Prometheus text format, on a separate port, until `stop` is cancelled.
pub async fn serve_metrics(listener: TcpListener, registry: Registry, stop: CancellationToken) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(registry);
    serve(Arc::new(listener), router, Limits::new(64), stop).await;
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Serves health checks while the server starts, until `stop` is cancelled. All other requests get a 503.
pub async fn serve_during_startup(
    listener: Arc<TcpListener>,
    readiness: Arc<dyn Readiness>,
    ids: Arc<dyn IdGen>,
    stop: CancellationToken,
) {
    let router = crate::router::startup_router(readiness, ids);
    serve(listener, router, Limits::new(64), stop).await;
}
