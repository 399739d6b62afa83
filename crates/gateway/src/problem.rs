//! Problem documents (RFC 9457): the body of every error response.

use crate::error::{ApiError, status};
use crate::openai;
use crate::openai::error::ErrorBody;
use crate::problem_kind::{METHOD_NOT_ALLOWED_DETAIL, METHOD_NOT_ALLOWED_TITLE, default_detail, slug, title};
use crate::request_info::RequestInfo;
use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::response::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::error::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;

/// Header that tells OpenAI's client libraries whether to retry.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a request failed.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = Problem, example = json!({
    "type": "/problems/validation", "title": "A field is not allowed", "status": 422,
    "detail": "A field of the request is understood and not allowed; see `errors`.",
    "instance": "/v1/conversations", "code": "validation", "request_id": "0197b2c0-7c1e-7000-8000-000000000001",
    "errors": [{"pointer": "/title", "detail": "must not be empty"}]
}))]
pub(crate) struct ProblemDocument {
    /// The type of problem: the URL, relative to this server, of a page that explains it.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Short title of the type.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Explanation of this occurrence, as a sentence.
    pub(crate) detail: String,
    /// Path of the request.
    pub(crate) instance: String,
    /// A stable code for programs; may be more specific than the type.
    pub(crate) code: &'static str,
    /// Id of the request, as in the log, the audit log and `x-request-id`.
    pub(crate) request_id: String,
    /// For a refusal (403): the id with which an admin can look up the reason, at `GET /v1/admin/decisions/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision_id: Option<String>,
    /// The invalid fields, with reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldProblem>,
}

/// An invalid field of a request.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct FieldProblem {
    /// A JSON pointer (RFC 6901) into the body, or `/` and the name of a form field, parameter or header.
    pub(crate) pointer: String,
    /// The reason, as a sentence.
    pub(crate) detail: String,
}

impl ProblemDocument {
    pub(crate) fn new(error: &ApiError, info: &RequestInfo) -> Self {
        Self {
            kind: format!("/problems/{}", slug(error.kind)),
            title: title(error.kind),
            status: error.status().as_u16(),
            detail: error.detail.clone().unwrap_or_else(|| default_detail(error.kind).to_owned()),
            instance: info.path.clone(),
            code: error.code,
            request_id: info.request_id.to_string(),
            decision_id: error.decision_id.map(|id| id.to_string()),
            errors: error
                .fields
                .iter()
                .map(|field| FieldProblem { pointer: field.pointer.clone(), detail: field.detail.clone() })
                .collect(),
        }
    }
}

/// Writes the problem document into an error response, whether it comes from a handler or from axum (unknown path or
/// method). Returns the error as well, for the log.
pub(crate) fn render(response: Response, info: &RequestInfo) -> (Response, Option<ApiError>) {
    let error = match response.extensions().get::<ApiError>() {
        Some(error) => error.clone(),
        None if needs_problem_document(&response) => ApiError::from_kind(kind_for_status(response.status())),
        None => return (response, None),
    };
    let (mut parts, _) = response.into_parts();
    parts.extensions.remove::<ApiError>();
    if openai::is_openai_path(&info.path) {
        return (openai_error_response(parts, &error), Some(error));
    }
    let mut document = ProblemDocument::new(&error, info);
    if parts.status == StatusCode::METHOD_NOT_ALLOWED {
        document.kind = "/problems/method-not-allowed".to_owned();
        document.title = METHOD_NOT_ALLOWED_TITLE;
        document.detail = METHOD_NOT_ALLOWED_DETAIL.to_owned();
        document.code = "method_not_allowed";
    }
    document.status = parts.status.as_u16();
    parts.headers.remove(CONTENT_LENGTH);
    let mut body = Json(document).into_response();
    body.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.extend(body.headers().clone());
    (Response::from_parts(parts, body.into_body()), Some(error))
}

/// Writes the error in OpenAI's format. OpenAI's client libraries retry a 409 unless [`X_SHOULD_RETRY`] is `false`.
fn openai_error_response(mut parts: Parts, error: &ApiError) -> Response {
    let body = if parts.status == StatusCode::METHOD_NOT_ALLOWED {
        ErrorBody::method_not_allowed()
    } else {
        parts.status = openai::error::status(error, parts.status);
        ErrorBody::new(error)
    };
    if parts.status == StatusCode::CONFLICT && error.retry_after.is_none() {
        parts.headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    parts.headers.remove(CONTENT_LENGTH);
    let body = Json(body).into_response();
    parts.headers.extend(body.headers().clone());
    Response::from_parts(parts, body.into_body())
}

/// Returns whether an error response still needs a body. The readiness report (503) already has one.
fn needs_problem_document(response: &Response<Body>) -> bool {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_json =
        response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    is_error && !is_json
}

fn kind_for_status(status_code: StatusCode) -> ErrorKind {
    ErrorKind::ALL
        .iter()
        .copied()
        .find(|kind| status(*kind) == status_code)
        .unwrap_or(if status_code.is_client_error() { ErrorKind::Malformed } else { ErrorKind::Internal })
}
