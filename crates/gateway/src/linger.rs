//! Reads on after a refusal, so that a client that is still sending gets to see the answer.
//!
//! A server that answers early and closes makes the sender's system drop the answer with the connection. nginx calls
//! the cure `lingering_close`: read the rest and throw it away, for a while.

use crate::app::App;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Bytes thrown away for a caller who is not known.
const STRANGER: u64 = 16 << 20;
/// How many times the largest upload is thrown away for one who is.
const KNOWN_TIMES_UPLOAD: u64 = 8;

type Slot = Arc<Mutex<Option<Body>>>;

/// A body that hands back what was not read of it when it is dropped.
struct Lent {
    body: Option<Body>,
    slot: Slot,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// The layer: after a failure, throws away what the handler left of the body.
pub(crate) async fn linger(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let slot = Slot::default();
    let lent = Arc::clone(&slot);
    let request = request.map(|body| Body::new(Lent { body: Some(body), slot: lent }));
    let response = next.run(request).await;
    let left = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if let (true, Some(body)) = (refused, left) {
        let most = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => STRANGER,
            _ => app.settings.max_upload_bytes.saturating_mul(KNOWN_TIMES_UPLOAD),
        };
        // Whether the rest came in time makes no difference to the answer.
        let _ = tokio::time::timeout(app.settings.linger, discard(body, most)).await;
    }
    response
}

async fn discard(body: Body, most: u64) {
    let mut pieces = body.into_data_stream();
    let mut seen = 0_u64;
    while let Some(Ok(piece)) = pieces.next().await {
        seen = seen.saturating_add(piece.len() as u64);
        if seen > most {
            return;
        }
    }
}
