//! Which request is being answered: its id and path, for logs, audit rows and problem documents.

use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::error::ErrorKind;
use domain::ids::RequestId;

/// Id and path of a request. The outermost layer inserts it; handlers and layers extract it.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo {
    /// Taken from `x-request-id` if the client sent a valid one.
    pub(crate) request_id: RequestId,
    /// Path without the query, which may hold what a user searched for.
    pub(crate) path: String,
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::of(ErrorKind::Internal))
    }
}
