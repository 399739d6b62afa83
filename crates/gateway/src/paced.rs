//! A body that hands out one piece at a time.
//!
//! The form parser reads on for as long as its source has bytes ready, and looks for the end of a part's header
//! without a limit. Between them lies this: it pauses after each piece, and breaks off when far more went in than came
//! out again.

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Most bytes that the parser may hold back.
const MOST_HELD: u64 = 2 << 20;

/// How many bytes were taken out of the parser.
pub(crate) type Taken = Arc<AtomicU64>;

/// The body.
pub(crate) struct Paced {
    pieces: BodyDataStream,
    passed: u64,
    taken: Taken,
    pause: bool,
}

impl Paced {
    /// Paces a body; whoever takes bytes out of the parser adds them to the counter.
    pub(crate) fn new(body: Body) -> (Self, Taken) {
        let taken = Taken::default();
        let paced = Self { pieces: body.into_data_stream(), passed: 0, taken: Arc::clone(&taken), pause: false };
        (paced, taken)
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.pieces.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.pause = true;
            self.passed += piece.len() as u64;
            if self.passed.saturating_sub(self.taken.load(Ordering::Relaxed)) > MOST_HELD {
                return Poll::Ready(Some(Err(axum::Error::new("a part of the form has no end"))));
            }
        }
        polled
    }
}
