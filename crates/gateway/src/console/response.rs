//! The response with one file of the console: its compression (`Accept-Encoding`) and caching.

use super::ConsoleFile;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// Folder of the files whose names contain a hash of their content, so that they never change.
const HASHED_FOLDER: &str = "assets/";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For all other files: browsers revalidate them after a day.
const ONE_DAY: &str = "public, max-age=86400";

/// Builds the response: 304 if the browser already has the file.
pub(super) fn file_response(path: &str, file: ConsoleFile, request_headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", file.etag);
    let cache_control = if path.starts_with(HASHED_FOLDER) { IMMUTABLE } else { ONE_DAY };
    let mut response = if contains_etag(request_headers, &IF_NONE_MATCH, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (content, encoding) = encoded(file, request_headers);
        let mut response = match content {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        };
        if let Some(encoding) = encoding {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// Returns the brotli, gzip or plain version of the file, the first that exists and that the browser accepts, and its
/// `Content-Encoding`.
fn encoded(file: ConsoleFile, headers: &HeaderMap) -> (Cow<'static, [u8]>, Option<&'static str>) {
    match (file.brotli, file.gzip) {
        (Some(brotli), _) if accepts(headers, "br") => (brotli, Some("br")),
        (_, Some(gzip)) if accepts(headers, "gzip") => (gzip, Some("gzip")),
        _ => (file.content, None),
    }
}

/// Whether `Accept-Encoding` contains this coding with a weight other than 0.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    items(headers, &ACCEPT_ENCODING).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding))
            && !parts.any(|parameter| parameter.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0_f32))
    })
}

fn contains_etag(headers: &HeaderMap, name: &HeaderName, etag: &str) -> bool {
    items(headers, name).any(|item| item.strip_prefix("W/").unwrap_or(item) == etag)
}

/// Returns the items of a comma-separated header, from all of its lines.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
