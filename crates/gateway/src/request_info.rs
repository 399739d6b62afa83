//! Id and path of the current request, for logs, audit rows and problem documents.

use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::error::ErrorKind;
use domain::ids::RequestId;

/// Id and path of a request. The trace middleware inserts it as a request extension; other middleware and handlers
/// extract it.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo {
    /// The client's `x-request-id` if it is valid, otherwise a new id.
    pub(crate) request_id: RequestId,
    /// Path without the query, which may contain a user's search text.
    pub(crate) path: String,
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::from_kind(ErrorKind::Internal))
    }
}
