//! A stream over a request's body that yields at most one chunk per poll of the form parser.
//!
//! The parser (multer) reads on for as long as its source is ready, and looks for the end of a part's header without a
//! limit. This stream pauses after each chunk, and fails once far more bytes went into the parser than came out.

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Bytes that the parser may buffer.
const MAX_BUFFERED: u64 = 2 << 20;

/// Counts the bytes that came out of the parser. Whoever reads from the parser adds to it.
pub(crate) type Consumed = Arc<AtomicU64>;

pub(crate) struct ThrottledBody {
    chunks: BodyDataStream,
    produced: u64,
    consumed: Consumed,
    pause: bool,
}

impl ThrottledBody {
    pub(crate) fn new(body: Body) -> (Self, Consumed) {
        let consumed = Consumed::default();
        let chunks = body.into_data_stream();
        let throttled = Self { chunks, produced: 0, consumed: Arc::clone(&consumed), pause: false };
        (throttled, consumed)
    }
}

impl Stream for ThrottledBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.chunks.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.pause = true;
            self.produced += chunk.len() as u64;
            if self.produced.saturating_sub(self.consumed.load(Ordering::Relaxed)) > MAX_BUFFERED {
                return Poll::Ready(Some(Err(axum::Error::new("a part of the form has no end"))));
            }
        }
        polled
    }
}
