//! How much is in hand: requests above a limit are refused at once, so that those below it are answered in time; and what
//! a client is slow to send does not count as work, nor is it waited for without end.

use crate::app::App;
use crate::error::ApiError;
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

/// When to come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What a body may take beside the time that its size allows.
const GRACE: Duration = Duration::from_secs(30);
/// Least bytes per second of a body, on average, once the grace is over.
const LEAST_RATE: u64 = 1 << 10;

/// Counts the requests in hand.
#[derive(Clone, Default, Debug)]
pub(crate) struct Load(Arc<AtomicUsize>);

impl Load {
    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one as long as the returned value lives.
    fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted { load: self.clone(), counts: true }
    }
}

/// A request in hand.
struct Counted {
    load: Load,
    counts: bool,
}

impl Counted {
    fn set(&mut self, counts: bool) {
        if self.counts != counts {
            self.counts = counts;
            if counts {
                self.load.0.fetch_add(1, Ordering::Relaxed);
            } else {
                self.load.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// A request's share of the load, for a handler that goes on to wait for something with a limit of its own.
#[derive(Clone)]
pub(crate) struct InHand(Arc<Mutex<Counted>>);

impl InHand {
    /// From now on the request does not count.
    pub(crate) fn rest(&self) {
        self.set(false);
    }

    fn set(&self, counts: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set(counts);
    }
}

/// The layer. It counts until an answer begins; a turn until its run does: how many of those are written at once has a
/// limit of its own.
pub(crate) async fn shed(State(app): State<App>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/health" | "/ready" | "/v1/health") {
        return next.run(request).await;
    }
    if app.load.now() >= app.settings.max_in_flight {
        let detail = "The server has as much in hand as it can answer in time.";
        let error = ApiError::new(ErrorKind::Unavailable, detail);
        return ApiError { code: "overloaded", retry_after: Some(RETRY_AFTER), ..error }.into_response();
    }
    let in_hand = InHand(Arc::new(Mutex::new(app.load.count())));
    let (in_body, stall) = (in_hand.clone(), app.settings.body_stall);
    let mut request = request.map(|body| Body::new(Patient::new(body, in_body, stall)));
    request.extensions_mut().insert(in_hand);
    next.run(request).await
}

/// A request's body that is waited for with some patience. While it is, its request does not count.
struct Patient {
    body: Body,
    in_hand: InHand,
    began: Instant,
    seen: u64,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(body: Body, in_hand: InHand, stall: Duration) -> Self {
        Self { body, in_hand, began: Instant::now(), seen: 0, stall, waiting: None }
    }

    /// The next piece must come within the patience for a pause, and before the whole has become too slow.
    fn deadline(&self) -> Instant {
        let allowed = GRACE + Duration::from_secs(self.seen / LEAST_RATE);
        (Instant::now() + self.stall).min(self.began + allowed)
    }
}

impl HttpBody for Patient {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = polled {
            self.waiting = None;
            self.in_hand.set(true);
            if let Some(Ok(frame)) = &frame {
                self.seen += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame);
        }
        self.in_hand.set(false);
        let deadline = self.deadline();
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.in_hand.set(true);
        Poll::Ready(Some(Err(axum::Error::new("the body came too slowly"))))
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
        let load = Load::default();
        let counted = InHand(Arc::new(Mutex::new(load.count())));
        let began = Instant::now();
        let mut pieces = Body::new(Patient::new(body, counted, Duration::from_secs(20))).into_data_stream();
        let mut read = 0;
        loop {
            let piece = tokio::time::timeout(Duration::from_millis(1), pieces.next()).await;
            let Ok(piece) = piece else {
                assert_eq!(load.now(), 0, "who is waited for is not in hand");
                continue;
            };
            match piece {
                Some(Ok(_)) => read += 1,
                Some(Err(_)) => return (read, false, began.elapsed(), load.now()),
                None => return (read, true, began.elapsed(), load.now()),
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
