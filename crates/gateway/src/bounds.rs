//! How much a request may say of itself before its body.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Longest path and query, in bytes.
const MAX_TARGET: usize = 8 << 10;
/// Most header lines.
const MAX_HEADERS: usize = 100;
/// Largest header, in bytes: a token of many groups has room.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// The layer.
pub(crate) async fn bound(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    if request.headers().len() > MAX_HEADERS || bytes(request.headers()) > MAX_HEADER_BYTES {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    next.run(request).await
}

fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
