//! A bare proxy: forwards requests and responses without parsing them.

use super::{Floor, FloorError};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// Forwards a chat completion.
pub async fn completions(State(floor): State<Arc<Floor>>, body: Bytes) -> Result<Response, FloorError> {
    let url = format!("{}/v1/chat/completions", floor.model_server_url);
    let upstream = floor.http.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await?;
    let (status, content_type) = (upstream.status(), upstream.headers().get(CONTENT_TYPE).cloned());
    let mut response = Body::from_stream(upstream.bytes_stream()).into_response();
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(response)
}
