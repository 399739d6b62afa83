//! The route that downloads a document's file.

use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::file_name::attachment_disposition;
use crate::problem::ProblemDocument;
use crate::range::{RequestedRange, parse_range};
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

/// Downloads a document's original file, or one byte range of it.
#[utoipa::path(
    get, path = "/v1/documents/{id}/content", tag = "documents",
    params(
        ("id" = Uuid, Path),
        ("Range" = Option<String>, Header, description = "One byte range (RFC 9110)", example = "bytes=0-1023"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the file that you already have"),
    ),
    responses(
        (status = 200, description = "The whole file", content(
            (String = "application/pdf"),
            (String = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            (String = "application/vnd.oasis.opendocument.spreadsheet"),
            (String = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
            (String = "text/csv"),
            (String = "text/html"),
            (String = "message/rfc822"),
            (String = "text/markdown"),
            (String = "text/plain"),
        )),
        (status = 206, description = "The requested range of the file", content(
            (String = "application/pdf"),
            (String = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            (String = "application/vnd.oasis.opendocument.spreadsheet"),
            (String = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
            (String = "text/csv"),
            (String = "text/html"),
            (String = "message/rfc822"),
            (String = "text/markdown"),
            (String = "text/plain"),
        )),
        (status = 304, description = "The file that you have is up to date"),
        (status = 416, description = "The file has no bytes in this range", body = ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
async fn content(
    call: AuthenticatedRequest,
    PathId(id): PathId<DocumentId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Parsing a range requires the file size, so the document's metadata is read first; only if there is a range.
    let range = match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        None => None,
        Some(header) => {
            let document = call.execute(GetDocument { id }).await?;
            match requested_range(header, &headers, &document) {
                RequestedRange::Whole => None,
                RequestedRange::Part(range) => Some(range),
                RequestedRange::Unsatisfiable => return Ok(range_not_satisfiable(file_size(&document))),
            }
        }
    };
    let Download { document, content } = call.execute(DownloadDocument { id, range }).await?;
    let etag_matches = headers.get_all(IF_NONE_MATCH).iter().any(|value| contains_etag(value, &etag(&document)));
    if etag_matches && range.is_none() {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag(&document))]).into_response());
    }
    Ok(file_response(&document, range, content))
}

fn file_size(document: &Document) -> u64 {
    u64::try_from(document.file_size_bytes).unwrap_or(0)
}

fn etag(document: &Document) -> String {
    format!("\"{}\"", document.sha256)
}

/// Returns whether a list of entity tags (`If-None-Match`) contains `etag`.
fn contains_etag(list: &HeaderValue, etag: &str) -> bool {
    let list = list.to_str().unwrap_or_default();
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Parses the range. Returns `Whole` if `If-Range` shows that the file has changed since the client's last request.
fn requested_range(header: &str, headers: &HeaderMap, document: &Document) -> RequestedRange {
    let has_changed = headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag(document).as_bytes());
    if has_changed {
        return RequestedRange::Whole;
    }
    parse_range(header, file_size(document))
}

fn range_not_satisfiable(size: u64) -> Response {
    (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
}

/// Builds the response. The file is always an attachment, so that a malicious document cannot run scripts in this
/// origin.
fn file_response(document: &Document, range: Option<ByteRange>, bytes: ByteStream) -> Response {
    let total = file_size(document);
    let length = range.map_or(total, |range| range.len);
    let mut headers = vec![
        (CONTENT_TYPE, document.mime_type.clone()),
        (CONTENT_LENGTH, length.to_string()),
        (CONTENT_DISPOSITION, attachment_disposition(&document.filename)),
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
        if let Some((name, value)) = valid_header(name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Returns the header, or `None` if a stored value is not a valid header value, such as a media type with a line break.
fn valid_header(name: HeaderName, value: String) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::try_from(value).ok()?))
}
