//! Extractor of query strings. Unknown and repeated parameters are errors.

use crate::body::{json_pointer, truncate_detail};
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// Extractor of a query string, deserialized to `T`.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        for (name, value) in form_urlencoded::parse(query) {
            if name.contains('\0') || value.contains('\0') {
                return Err(ApiError::invalid_field(format!("/{name}"), "must not contain U+0000"));
            }
        }
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query));
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            ApiError::invalid_field(json_pointer(error.path()), truncate_detail(&error.inner().to_string()))
        })
    }
}
