//! Routes of the Model Context Protocol. They are not part of the OpenAPI document: messages are JSON-RPC, which the
//! protocol's own schema describes.

use crate::mcp::{PATH, WELL_KNOWN_PATH, handle, show};
use crate::state::AppState;
use axum::Router;
use axum::routing::{get, post};

/// The endpoint, which belongs behind authentication. GET and DELETE are not supported, since there are no sessions.
pub(super) fn routes() -> Router<AppState> {
    Router::new().route(PATH, post(handle))
}

/// The public description of the endpoint as a protected resource, at the two paths where clients look for it.
pub(super) fn metadata_routes() -> Router<AppState> {
    Router::new().route(WELL_KNOWN_PATH, get(show)).route(&format!("{WELL_KNOWN_PATH}{PATH}"), get(show))
}
