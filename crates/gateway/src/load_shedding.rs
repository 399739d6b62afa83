//! Load shedding: requests above a limit are rejected immediately, so that the others are answered in time. A request
//! does not count while the server waits for its body. Bodies that arrive too slowly are aborted.

use crate::error::ApiError;
use crate::settings::GatewaySettings;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// `Retry-After` of a rejected request.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Time during which a body may be slower than [`MIN_BYTES_PER_SECOND`].
const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// Minimum average rate of a body after the grace period, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 1 << 10;

/// Counts requests in flight, up to a limit.
#[derive(Clone, Debug)]
pub(crate) struct LoadLimit {
    in_flight: Arc<AtomicUsize>,
    max_in_flight: usize,
    /// Maximum pause between two frames of a body.
    body_timeout: Duration,
}

impl LoadLimit {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let (max_in_flight, body_timeout) = (settings.max_in_flight, settings.body_read_timeout);
        Self { in_flight: Arc::default(), max_in_flight, body_timeout }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as in flight until the returned guard is dropped.
    fn enter(&self) -> InFlightGuard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let counted = CountedRequest { in_flight: Arc::clone(&self.in_flight), is_counted: true };
        InFlightGuard(Arc::new(Mutex::new(counted)))
    }
}

struct CountedRequest {
    in_flight: Arc<AtomicUsize>,
    is_counted: bool,
}

impl CountedRequest {
    fn set_counted(&mut self, is_counted: bool) {
        if self.is_counted != is_counted {
            self.is_counted = is_counted;
            if is_counted {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
            } else {
                self.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.set_counted(false);
    }
}

/// Counts one request as in flight. Clones share the same count.
#[derive(Clone)]
pub(crate) struct InFlightGuard(Arc<Mutex<CountedRequest>>);

impl InFlightGuard {
    /// Stops counting the request. For handlers that then wait for work that has its own limit.
    pub(crate) fn release(&self) {
        self.set_counted(false);
    }

    fn set_counted(&self, is_counted: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_counted(is_counted);
    }
}

/// Middleware for load shedding. A request counts until its response starts. A chat turn counts only until its run
/// starts, since concurrent runs have their own limit.
pub(crate) async fn shed_load(State(limit): State<LoadLimit>, request: Request, next: Next) -> Response {
    if limit.in_flight() >= limit.max_in_flight {
        let detail = "The server is processing as many requests as it can answer in time.";
        let error = ApiError::new(ErrorKind::Unavailable, detail);
        return ApiError { code: "overloaded", retry_after: Some(RETRY_AFTER), ..error }.into_response();
    }
    let guard = limit.enter();
    let (body_guard, timeout) = (guard.clone(), limit.body_timeout);
    let mut request = request.map(|body| Body::new(TimeoutBody::new(body, body_guard, timeout)));
    request.extensions_mut().insert(guard);
    next.run(request).await
}

/// A request body with a read timeout. While the server waits for a frame, the request does not count as in flight.
struct TimeoutBody {
    body: Body,
    guard: InFlightGuard,
    started_at: Instant,
    received_bytes: u64,
    /// Maximum pause between two frames.
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimeoutBody {
    fn new(body: Body, guard: InFlightGuard, timeout: Duration) -> Self {
        Self { body, guard, started_at: Instant::now(), received_bytes: 0, timeout, timer: None }
    }

    /// Returns the time by which the next frame must arrive: within the maximum pause, and before the average rate
    /// falls below [`MIN_BYTES_PER_SECOND`].
    fn deadline(&self) -> Instant {
        let max_duration = GRACE_PERIOD + Duration::from_secs(self.received_bytes / MIN_BYTES_PER_SECOND);
        (Instant::now() + self.timeout).min(self.started_at + max_duration)
    }
}

impl HttpBody for TimeoutBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = polled {
            self.timer = None;
            self.guard.set_counted(true);
            if let Some(Ok(frame)) = &frame {
                self.received_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame);
        }
        self.guard.set_counted(false);
        let deadline = self.deadline();
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.guard.set_counted(true);
        Poll::Ready(Some(Err(axum::Error::new("the body is sent too slowly"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn slow_body(pause: Duration, frames: usize) -> Body {
        let frames = futures::stream::iter(0..frames).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
        });
        Body::from_stream(frames)
    }

    /// Result of reading a body to its end.
    struct ReadOutcome {
        frames: usize,
        complete: bool,
        elapsed: Duration,
        in_flight: usize,
    }

    /// Reads a body with a timeout of 20 seconds.
    async fn read_to_end(body: Body) -> ReadOutcome {
        let load = LoadLimit::new(&GatewaySettings::default());
        let guard = load.enter();
        let started = Instant::now();
        let mut stream = Body::new(TimeoutBody::new(body, guard, Duration::from_secs(20))).into_data_stream();
        let mut frames = 0;
        let complete = loop {
            let next = tokio::time::timeout(Duration::from_millis(1), stream.next()).await;
            let Ok(next) = next else {
                assert_eq!(load.in_flight(), 0, "a request does not count while the server waits for its body");
                continue;
            };
            match next {
                Some(Ok(_)) => frames += 1,
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        ReadOutcome { frames, complete, elapsed: started.elapsed(), in_flight: load.in_flight() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_or_is_too_slow_is_aborted() {
        let steady = read_to_end(slow_body(Duration::from_millis(100), 100)).await;
        assert_eq!((steady.frames, steady.complete, steady.in_flight), (100, true, 1), "{:?}", steady.elapsed);
        let paused = read_to_end(slow_body(Duration::from_secs(60), 1)).await;
        assert!(!paused.complete && paused.elapsed < Duration::from_secs(21), "{:?}", paused.elapsed);
        let slow = read_to_end(slow_body(Duration::from_secs(5), 1_000)).await;
        assert!(!slow.complete && slow.elapsed < Duration::from_secs(31), "{:?}", slow.elapsed);
    }
}
