//! A document's original bytes.

use crate::body::Id;
use crate::caller::Call;
use crate::error::ApiError;
use crate::file_name::attachment;
use crate::problem::ProblemDocument;
use crate::range::{Wanted, wanted};
use crate::state::AppState;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::command::{DownloadDocument, GetDocument};
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream};
use domain::upload::Download;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(content))
}

/// Reads a document's original bytes, or one range of them.
#[utoipa::path(
    get, path = "/v1/documents/{id}/content", tag = "documents",
    params(
        ("id" = Uuid, Path),
        ("Range" = Option<String>, Header, description = "One byte range (RFC 9110)", example = "bytes=0-1023"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that you have"),
    ),
    responses(
        (status = 200, description = "All bytes", content(
            (String = "application/pdf"),
            (String = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (String = "text/markdown"),
            (String = "text/plain"),
        )),
        (status = 206, description = "The range", content(
            (String = "application/pdf"),
            (String = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (String = "text/markdown"),
            (String = "text/plain"),
        )),
        (status = 304, description = "Those that you have"),
        (status = 416, description = "The document is shorter than the range", body = ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
async fn content(call: Call, Id(id): Id<DocumentId>, headers: HeaderMap) -> Result<Response, ApiError> {
    // The size must be known before a range can be asked for; a request without one needs no second look.
    let range = match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        None => None,
        Some(header) => {
            let document = call.execute(GetDocument { id }).await?;
            match applicable(header, &headers, &document) {
                Wanted::Whole => None,
                Wanted::Part(range) => Some(range),
                Wanted::Unsatisfiable => return Ok(unsatisfiable(size(&document))),
            }
        }
    };
    let Download { document, content } = call.execute(DownloadDocument { id, range }).await?;
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &etag(&document)));
    if known && range.is_none() {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag(&document))]).into_response());
    }
    Ok(answer(&document, range, content))
}

fn size(document: &Document) -> u64 {
    u64::try_from(document.file_size_bytes).unwrap_or(0)
}

fn etag(document: &Document) -> String {
    format!("\"{}\"", document.sha256)
}

/// Whether a list of entity tags has this one.
fn names(list: &HeaderValue, etag: &str) -> bool {
    let list = list.to_str().unwrap_or_default();
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The range, unless the client wants it only of bytes that it knows and that are others now (`If-Range`).
fn applicable(header: &str, headers: &HeaderMap, document: &Document) -> Wanted {
    let stale = headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag(document).as_bytes());
    if stale {
        return Wanted::Whole;
    }
    wanted(header, size(document))
}

fn unsatisfiable(size: u64) -> Response {
    (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
}

/// Always a download, never a page: a hostile document must not run in this origin.
fn answer(document: &Document, range: Option<ByteRange>, bytes: ByteStream) -> Response {
    let total = size(document);
    let length = range.map_or(total, |range| range.len);
    let mut headers = vec![
        (CONTENT_TYPE, document.mime_type.clone()),
        (CONTENT_LENGTH, length.to_string()),
        (CONTENT_DISPOSITION, attachment(&document.filename)),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, etag(document)),
    ];
    let mut status = StatusCode::OK;
    if let Some(ByteRange { start, len }) = range {
        status = StatusCode::PARTIAL_CONTENT;
        headers.push((CONTENT_RANGE, format!("bytes {start}-{}/{total}", start + len - 1)));
    }
    let mut response = (status, Body::from_stream(bytes)).into_response();
    for (name, value) in headers {
        if let Some((name, value)) = header(name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A stored value that is no valid header (a type with a line break, say) is left out.
fn header(name: HeaderName, value: String) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::try_from(value).ok()?))
}
