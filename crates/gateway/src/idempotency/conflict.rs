//! The 409 errors of requests with an idempotency key.

use crate::error::ApiError;
use domain::error::ErrorKind;
use std::time::Duration;

/// `Retry-After` while the first request is being processed.
const RETRY_AFTER: Duration = Duration::from_secs(2);

pub(super) fn conflict_error(code: &'static str, detail: &'static str) -> ApiError {
    ApiError { code, ..ApiError::new(ErrorKind::Conflict, detail) }
}

/// Creates the error for a repeated request whose first attempt, or the run that it started, is still in progress.
pub(super) fn in_progress_error(detail: &'static str) -> ApiError {
    ApiError { retry_after: Some(RETRY_AFTER), ..conflict_error("idempotency_in_progress", detail) }
}
