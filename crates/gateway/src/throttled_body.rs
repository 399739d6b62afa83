//! A body stream that prevents the form parser from reading far ahead.
//!
//! The parser (multer) reads as long as its source is ready, and has no limit for the size of a part's header. This
//! stream returns `Pending` after each chunk, and fails if the parser has buffered more than [`MAX_BUFFERED_BYTES`]
//! bytes.

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Maximum number of bytes that the parser may have buffered.
const MAX_BUFFERED_BYTES: u64 = 2 << 20;

/// Number of bytes that the parser has returned. Updated by the reader of the form.
pub(crate) type ConsumedBytes = Arc<AtomicU64>;

pub(crate) struct ThrottledBody {
    chunks: BodyDataStream,
    produced_bytes: u64,
    consumed_bytes: ConsumedBytes,
    should_yield: bool,
}

impl ThrottledBody {
    pub(crate) fn new(body: Body) -> (Self, ConsumedBytes) {
        let consumed_bytes = ConsumedBytes::default();
        let chunks = body.into_data_stream();
        let throttled =
            Self { chunks, produced_bytes: 0, consumed_bytes: Arc::clone(&consumed_bytes), should_yield: false };
        (throttled, consumed_bytes)
    }
}

impl Stream for ThrottledBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.should_yield) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.chunks.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.should_yield = true;
            self.produced_bytes += chunk.len() as u64;
            if self.produced_bytes.saturating_sub(self.consumed_bytes.load(Ordering::Relaxed)) > MAX_BUFFERED_BYTES {
                return Poll::Ready(Some(Err(axum::Error::new("the header of a form part is too long"))));
            }
        }
        polled
    }
}
