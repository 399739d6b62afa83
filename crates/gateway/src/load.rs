//! Load shedding: requests above a limit are refused at once, so that those below it are answered in time. A client that
//! is slow to send its body neither counts as load while it is waited for, nor is it waited for without end.

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

/// `Retry-After` of a refused request.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Time that a body of any size may take.
const GRACE: Duration = Duration::from_secs(30);
/// Lowest average rate of a body after the grace period, in bytes per second.
const MIN_RATE: u64 = 1 << 10;

/// Counts requests in flight, up to a limit.
#[derive(Clone, Debug)]
pub(crate) struct LoadLimit {
    in_flight: Arc<AtomicUsize>,
    max_in_flight: usize,
    /// Longest pause within a body.
    body_timeout: Duration,
}

impl LoadLimit {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let (max_in_flight, body_timeout) = (settings.max_in_flight, settings.body_stall);
        Self { in_flight: Arc::default(), max_in_flight, body_timeout }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as long as the returned guard lives.
    fn enter(&self) -> InFlightGuard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let counted = CountedRequest { in_flight: Arc::clone(&self.in_flight), counts: true };
        InFlightGuard(Arc::new(Mutex::new(counted)))
    }
}

struct CountedRequest {
    in_flight: Arc<AtomicUsize>,
    counts: bool,
}

impl CountedRequest {
    fn set(&mut self, counts: bool) {
        if self.counts != counts {
            self.counts = counts;
            if counts {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
            } else {
                self.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Counts one request as in flight. All clones are the same count.
#[derive(Clone)]
pub(crate) struct InFlightGuard(Arc<Mutex<CountedRequest>>);

impl InFlightGuard {
    /// Stops counting the request: the handler goes on to wait for something with a limit of its own.
    pub(crate) fn release(&self) {
        self.set(false);
    }

    fn set(&self, counts: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set(counts);
    }
}

/// The layer. A request counts until its response begins; a chat turn until its run has begun, since concurrent runs have
/// a limit of their own.
pub(crate) async fn shed_load(State(load): State<LoadLimit>, request: Request, next: Next) -> Response {
    if load.in_flight() >= load.max_in_flight {
        let detail = "The server is processing as many requests as it can answer in time.";
        let error = ApiError::new(ErrorKind::Unavailable, detail);
        return ApiError { code: "overloaded", retry_after: Some(RETRY_AFTER), ..error }.into_response();
    }
    let guard = load.enter();
    let (in_body, timeout) = (guard.clone(), load.body_timeout);
    let mut request = request.map(|body| Body::new(TimeoutBody::new(body, in_body, timeout)));
    request.extensions_mut().insert(guard);
    next.run(request).await
}

/// A request's body with a time limit. While the client is waited for, the request does not count.
struct TimeoutBody {
    body: Body,
    guard: InFlightGuard,
    started: Instant,
    received_bytes: u64,
    /// Longest pause.
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl TimeoutBody {
    fn new(body: Body, guard: InFlightGuard, timeout: Duration) -> Self {
        Self { body, guard, started: Instant::now(), received_bytes: 0, timeout, sleep: None }
    }

    /// When the next frame is due: after the longest pause, and before the average rate is too low.
    fn deadline(&self) -> Instant {
        let allowed = GRACE + Duration::from_secs(self.received_bytes / MIN_RATE);
        (Instant::now() + self.timeout).min(self.started + allowed)
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
            self.sleep = None;
            self.guard.set(true);
            if let Some(Ok(frame)) = &frame {
                self.received_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame);
        }
        self.guard.set(false);
        let deadline = self.deadline();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.guard.set(true);
        Poll::Ready(Some(Err(axum::Error::new("the body was sent too slowly"))))
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

    fn dribbling(pause: Duration, pieces: usize) -> Body {
        let pieces = futures::stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
        });
        Body::from_stream(pieces)
    }

    async fn read(body: Body) -> (usize, bool, Duration, usize) {
        let load = LoadLimit::new(&GatewaySettings::default());
        let guard = load.enter();
        let began = Instant::now();
        let mut pieces = Body::new(TimeoutBody::new(body, guard, Duration::from_secs(20))).into_data_stream();
        let mut read = 0;
        loop {
            let piece = tokio::time::timeout(Duration::from_millis(1), pieces.next()).await;
            let Ok(piece) = piece else {
                assert_eq!(load.in_flight(), 0, "a client that is waited for does not count");
                continue;
            };
            match piece {
                Some(Ok(_)) => read += 1,
                Some(Err(_)) => return (read, false, began.elapsed(), load.in_flight()),
                None => return (read, true, began.elapsed(), load.in_flight()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_or_dribbles_is_given_up() {
        let (read_, whole, took, load) = read(dribbling(Duration::from_millis(100), 100)).await;
        assert_eq!((read_, whole, load), (100, true, 1), "{took:?}");
        let (_, whole, took, _) = read(dribbling(Duration::from_secs(60), 1)).await;
        assert!(!whole && took < Duration::from_secs(21), "a pause: {took:?}");
        let (_, whole, took, _) = read(dribbling(Duration::from_secs(5), 1_000)).await;
        assert!(!whole && took < Duration::from_secs(31), "a dribble: {took:?}");
    }
}
