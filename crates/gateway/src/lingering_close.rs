//! Reads on after a failure, so that a client that is still sending gets to see the response.
//!
//! If a server responds early and closes the connection, the client's TCP stack resets it and drops the response. nginx
//! calls the remedy `lingering_close`: read the rest for a while and discard it.

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

/// Bytes that are discarded for an unauthenticated client.
const MAX_UNAUTHENTICATED: u64 = 16 << 20;
/// Bytes that are discarded for an authenticated client, in multiples of the largest upload.
const MAX_UPLOADS: u64 = 8;

type Slot = Arc<Mutex<Option<Body>>>;

/// A body that puts its unread rest into `slot` when it is dropped.
struct ReclaimedBody {
    body: Option<Body>,
    slot: Slot,
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
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// The layer: after a failure, discards what the handler has not read of the body.
pub(crate) async fn lingering_close(
    State(settings): State<Arc<GatewaySettings>>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let slot = Slot::default();
    let rest = Arc::clone(&slot);
    let request = request.map(|body| Body::new(ReclaimedBody { body: Some(body), slot: rest }));
    let response = next.run(request).await;
    let unread = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if let (true, Some(body)) = (refused, unread) {
        let max_bytes = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                MAX_UNAUTHENTICATED
            }
            _ => settings.max_upload_bytes.saturating_mul(MAX_UPLOADS),
        };
        // Whether the rest came in time makes no difference to the response.
        let _ = tokio::time::timeout(settings.linger, discard(body, max_bytes)).await;
    }
    response
}

async fn discard(body: Body, max_bytes: u64) {
    let mut pieces = body.into_data_stream();
    let mut seen = 0_u64;
    while let Some(Ok(piece)) = pieces.next().await {
        seen = seen.saturating_add(piece.len() as u64);
        if seen > max_bytes {
            return;
        }
    }
}
