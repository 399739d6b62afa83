//! Limits the size of the request line and of the header.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Maximum length of path and query together, in bytes.
const MAX_TARGET_BYTES: usize = 8 << 10;
/// Maximum number of header lines.
const MAX_HEADER_LINES: usize = 100;
/// Maximum size of the header, in bytes. Large enough for a token with many groups.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Middleware: responds with 414 if the request target is too long, and with 431 if the header is too large.
pub(crate) async fn limit_header_size(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET_BYTES) {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    if request.headers().len() > MAX_HEADER_LINES || header_bytes(request.headers()) > MAX_HEADER_BYTES {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    next.run(request).await
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
