//! Routes of the browser console, under `/ui/`: its files and pages.

use crate::console::ConsoleState;
use crate::error::ApiError;
use crate::settings::GatewaySettings;
use crate::state::AppState;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use domain::error::ErrorKind;
use std::sync::Arc;

/// Folders that contain only files. Any other path under `/ui/` that is not a file is a page of the console.
const FILE_FOLDERS: &[&str] = &["assets/", "pdfjs/"];

pub(super) fn routes() -> Router<AppState> {
    let to_console = || async { (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/ui/")]) };
    Router::new()
        .route("/", get(to_console))
        .route("/ui", get(to_console))
        .route("/ui/", get(start_page))
        .route("/ui/{*path}", get(file_or_page))
}

async fn start_page(
    State(console): State<ConsoleState>,
    State(settings): State<Arc<GatewaySettings>>,
) -> Result<Response, ApiError> {
    console.page(&settings.console).ok_or_else(|| ApiError::from_kind(ErrorKind::NotFound))
}

/// Serves a file, or the page that starts the console for a deep link such as `/ui/documents/…`.
async fn file_or_page(
    console: State<ConsoleState>,
    settings: State<Arc<GatewaySettings>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(file) = console.file(&path, &headers) {
        return Ok(file);
    }
    if FILE_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Err(ApiError::from_kind(ErrorKind::NotFound));
    }
    start_page(console, settings).await
}
