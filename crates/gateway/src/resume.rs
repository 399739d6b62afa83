//! Where a stream of events starts: the header `Last-Event-ID` of the server-sent events standard, or the query
//! parameter `after`.

use crate::error::ApiError;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

/// The largest id of an event: the database counts in 64 bits with a sign, as does the format `int64` of the OpenAPI
/// document.
const MAX_EVENT_ID: u64 = i64::MAX.unsigned_abs();

/// Where a stream of events starts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResumeQuery {
    /// Id of the last event to skip. The header `Last-Event-ID` takes precedence.
    after: Option<u64>,
}

impl ResumeQuery {
    /// Returns the id of the last event that the client has; 0 if it has none.
    ///
    /// # Errors
    ///
    /// Fails if the header is no decimal number, or an id is greater than 2^63 − 1.
    pub(crate) fn last_event_id(&self, headers: &HeaderMap) -> Result<u64, ApiError> {
        if let Some(value) = headers.get("last-event-id") {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            return checked(digits.and_then(|text| text.parse().ok()), "/Last-Event-ID");
        }
        checked(Some(self.after.unwrap_or(0)), "/after")
    }
}

fn checked(id: Option<u64>, pointer: &str) -> Result<u64, ApiError> {
    id.filter(|id| *id <= MAX_EVENT_ID)
        .ok_or_else(|| ApiError::invalid_field(pointer, "must be the id of an event: an integer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn resume(header: Option<&'static str>, after: Option<u64>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("last-event-id", HeaderValue::from_static(header));
        }
        ResumeQuery { after }.last_event_id(&headers).ok()
    }

    #[test]
    fn the_header_takes_precedence_and_neither_exceeds_64_bits_with_a_sign() {
        assert_eq!(resume(None, None), Some(0));
        assert_eq!(resume(None, Some(7)), Some(7));
        assert_eq!(resume(Some("3"), Some(7)), Some(3));
        assert_eq!(resume(None, Some(MAX_EVENT_ID)), Some(MAX_EVENT_ID));
        assert_eq!(resume(None, Some(MAX_EVENT_ID + 1)), None);
        for header in ["9223372036854775808", "99999999999999999999", "-1", "+1", "", "x"] {
            assert_eq!(resume(Some(header), None), None, "{header}");
        }
    }
}
