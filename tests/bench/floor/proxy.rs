//! A bare proxy: forwards the request and the response without parsing either.

use super::{Failure, Floor};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// Forwards a chat completion.
pub async fn completions(State(floor): State<Arc<Floor>>, body: Bytes) -> Result<Response, Failure> {
    let url = format!("{}/v1/chat/completions", floor.models);
    let answer = floor.http.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await?;
    let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
    let mut response = Body::from_stream(answer.bytes_stream()).into_response();
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}
