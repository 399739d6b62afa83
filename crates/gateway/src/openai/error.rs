//! Errors in OpenAI's format. OpenAI's client libraries derive the exception type from the status, and read `code` and
//! `param`.

use crate::error::ApiError;
use crate::problem_kind::{METHOD_NOT_ALLOWED_DETAIL, default_detail};
use axum::http::StatusCode;
use domain::error::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;

/// An error in OpenAI's format.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = OpenAiError, example = json!({"error": {
    "message": "Invalid 'temperature': must be between 0 and 2", "type": "invalid_request_error",
    "param": "temperature", "code": "validation"
}}))]
pub(crate) struct ErrorBody {
    error: ErrorObject,
}

/// Details of an error.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = OpenAiErrorObject)]
pub(crate) struct ErrorObject {
    /// Explanation of this occurrence of the error.
    message: String,
    /// The type: `invalid_request_error`, `authentication_error`, `permission_error`, `rate_limit_error`,
    /// `insufficient_quota` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The invalid field, such as `messages[0].content`.
    param: Option<String>,
    /// A stable code that programs can check.
    code: &'static str,
    /// For a refused request: the id with which an admin can look up the reason, at `GET /v1/admin/decisions/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
}

impl ErrorBody {
    pub(crate) fn new(error: &ApiError) -> Self {
        let param = error.fields.first().and_then(|field| to_openai_param(&field.pointer));
        let message = match (error.fields.first(), &param) {
            (Some(field), Some(param)) if error.kind == ErrorKind::InvalidField => {
                format!("Invalid '{param}': {}", field.detail)
            }
            (Some(field), _) => field.detail.clone(),
            (None, _) => error.detail.clone().unwrap_or_else(|| default_detail(error.kind).to_owned()),
        };
        let decision_id = error.decision_id.map(|id| id.to_string());
        Self {
            error: ErrorObject {
                message,
                kind: error_type(error),
                param,
                code: to_openai_code(error.code),
                decision_id,
            },
        }
    }

    /// Returns the body of a 405.
    pub(crate) fn method_not_allowed() -> Self {
        let message = METHOD_NOT_ALLOWED_DETAIL.to_owned();
        let kind = "invalid_request_error";
        Self { error: ErrorObject { message, kind, param: None, code: "method_not_allowed", decision_id: None } }
    }
}

/// Returns the status that OpenAI's clients expect: 400 for an invalid field or a prompt that is too long, otherwise
/// `default`.
pub(crate) fn status(error: &ApiError, default: StatusCode) -> StatusCode {
    match error.kind {
        ErrorKind::InvalidField => StatusCode::BAD_REQUEST,
        ErrorKind::TooLarge if error.code == "context_too_long" => StatusCode::BAD_REQUEST,
        _ => default,
    }
}

fn error_type(error: &ApiError) -> &'static str {
    match error.kind {
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::RateLimited if error.code == "quota_exceeded" => "insufficient_quota",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Internal | ErrorKind::Unavailable => "server_error",
        ErrorKind::Malformed
        | ErrorKind::InvalidField
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Gone
        | ErrorKind::TooLarge
        | ErrorKind::UnsupportedType => "invalid_request_error",
    }
}

/// Translates codes that OpenAI's clients check to OpenAI's codes. Other codes stay the same.
fn to_openai_code(code: &'static str) -> &'static str {
    match code {
        "invalid_token" => "invalid_api_key",
        "rate_limited" => "rate_limit_exceeded",
        "quota_exceeded" => "insufficient_quota",
        "context_too_long" => "context_length_exceeded",
        other => other,
    }
}

/// Translates a JSON pointer (RFC 6901) into OpenAI's notation: `messages[0].content`. `None` for the whole body.
fn to_openai_param(pointer: &str) -> Option<String> {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_pointer_becomes_an_openai_param() {
        for (pointer, param) in [
            ("/messages/0/content/1/type", Some("messages[0].content[1].type")),
            ("/temperature", Some("temperature")),
            ("/metadata/a~1b~0c", Some("metadata.a/b~c")),
            ("", None),
        ] {
            assert_eq!(to_openai_param(pointer).as_deref(), param, "{pointer}");
        }
    }

    #[test]
    fn an_invalid_field_and_a_prompt_that_is_too_long_are_bad_requests() {
        let field = ApiError::invalid_field("/n", "must be 1");
        assert_eq!(status(&field, field.status()), StatusCode::BAD_REQUEST);
        let long = ApiError { code: "context_too_long", ..ApiError::from_kind(ErrorKind::TooLarge) };
        assert_eq!(status(&long, long.status()), StatusCode::BAD_REQUEST);
        let large = ApiError::from_kind(ErrorKind::TooLarge);
        assert_eq!(status(&large, large.status()), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
