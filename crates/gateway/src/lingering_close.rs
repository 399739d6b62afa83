//! Reads and discards the rest of the body after an error, so that a client that is still sending receives the
//! response.
//!
//! If a server responds before it has read the whole body and closes the connection, TCP resets the connection and the
//! client may lose the response. nginx calls the remedy `lingering_close`: read the rest for a limited time and discard
//! it.

use crate::settings::GatewaySettings;
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

/// Maximum number of bytes that are read and discarded for an unauthenticated client.
const MAX_UNAUTHENTICATED_BYTES: u64 = 16 << 20;
/// Maximum number of bytes that are read and discarded for an authenticated client, in multiples of the maximum upload
/// size.
const MAX_DISCARDED_UPLOADS: u64 = 8;

/// Receives the unread rest of a body when the body is dropped.
type UnreadBody = Arc<Mutex<Option<Body>>>;

/// A body that stores its unread rest in `unread` when it is dropped.
struct ReclaimedBody {
    body: Option<Body>,
    unread: UnreadBody,
}

impl HttpBody for ReclaimedBody {
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

impl Drop for ReclaimedBody {
    fn drop(&mut self) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// Middleware: after a failure, reads and discards the part of the body that the handler has not read.
pub(crate) async fn lingering_close(
    State(settings): State<Arc<GatewaySettings>>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let unread = UnreadBody::default();
    let unread_slot = Arc::clone(&unread);
    let request = request.map(|body| Body::new(ReclaimedBody { body: Some(body), unread: unread_slot }));
    let response = next.run(request).await;
    let unread = unread.lock().unwrap_or_else(PoisonError::into_inner).take();
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if let (true, Some(body)) = (is_error, unread) {
        let max_bytes = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                MAX_UNAUTHENTICATED_BYTES
            }
            _ => settings.max_upload_bytes.saturating_mul(MAX_DISCARDED_UPLOADS),
        };
        // The response is the same whether or not the rest arrives in time.
        let _ = tokio::time::timeout(settings.lingering_close_timeout, discard(body, max_bytes)).await;
    }
    response
}

async fn discard(body: Body, max_bytes: u64) {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0_u64;
    while let Some(Ok(chunk)) = chunks.next().await {
        discarded = discarded.saturating_add(chunk.len() as u64);
        if discarded > max_bytes {
            return;
        }
    }
}
