//! The error type of handlers and middleware. Error kinds are mapped to HTTP statuses only here.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::error::{Classify, ErrorKind, Problem};
use domain::ids::AuditId;
use domain::upload::FieldError;
use policy::error::GateError;
use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

/// Default `Retry-After` of errors that do not specify one.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// An error response. [`crate::problem`] writes its body, a problem document (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ApiError {
    /// Determines status, title and problem type.
    pub(crate) kind: ErrorKind,
    /// Stable code for programs; may be more specific than the kind.
    pub(crate) code: &'static str,
    /// Sentence for the caller; `None` for the kind's default.
    pub(crate) detail: Option<String>,
    /// The invalid fields.
    pub(crate) fields: Vec<FieldError>,
    /// Time to wait before a retry.
    pub(crate) retry_after: Option<Duration>,
    /// Cause of the error, for the log only.
    pub(crate) cause: Option<Box<str>>,
    /// Audit row of the decision, if the gate refused the request.
    pub(crate) decision_id: Option<AuditId>,
    /// Whether the request had no token. The challenge then has no error code (RFC 6750, section 3.1).
    pub(crate) is_token_missing: bool,
    /// Maximum age of the user's authentication, in seconds, if the caller's is too old (RFC 9470).
    pub(crate) max_age_s: Option<NonZeroU32>,
}

impl ApiError {
    /// Creates an error with a detail for the caller.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from_kind(kind) }
    }

    /// Creates an error with the default detail of its kind.
    pub(crate) fn from_kind(kind: ErrorKind) -> Self {
        Self {
            kind,
            code: kind.code(),
            detail: None,
            fields: Vec::new(),
            retry_after: None,
            cause: None,
            decision_id: None,
            is_token_missing: false,
            max_age_s: None,
        }
    }

    /// Creates the error for an invalid field. `pointer` is a JSON pointer (RFC 6901), or `/name` of a parameter,
    /// header or form field.
    pub(crate) fn invalid_field(pointer: impl Into<String>, detail: impl ToString) -> Self {
        FieldError { pointer: pointer.into(), detail: detail.to_string() }.into()
    }

    pub(crate) fn status(&self) -> StatusCode {
        status(self.kind)
    }

    /// Returns the `WWW-Authenticate` challenge of a 401 (RFC 6750, section 3; RFC 9470, section 3).
    fn challenge(&self) -> HeaderValue {
        match self.max_age_s {
            None if self.is_token_missing => HeaderValue::from_static("Bearer"),
            None => HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            Some(seconds) => {
                let challenge = format!(
                    "Bearer error=\"insufficient_user_authentication\", max_age=\"{seconds}\", \
                     error_description=\"a more recent sign-in is required\""
                );
                HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"))
            }
        }
    }

    /// Returns the value of `Retry-After`. Always set for 429 and 503.
    fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Some(self.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
            _ => self.retry_after,
        }
    }
}

/// The challenge in the form of Microsoft Entra ID, for clients that sign in there: the client passes the claims on in
/// its next authorization request, which asks for the authentication context `c1`.
fn claims_challenge() -> HeaderValue {
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let challenge = format!(
        "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"{}\", cc_type=\"authcontext\"",
        BASE64_STANDARD.encode(claims)
    );
    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Maps an error kind to its HTTP status.
pub(crate) const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::InvalidField => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<FieldError> for ApiError {
    fn from(field: FieldError) -> Self {
        Self { fields: vec![field], ..Self::from_kind(ErrorKind::InvalidField) }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            detail: problem.detail,
            decision_id: problem.decision_id,
            ..Self::from_kind(problem.kind)
        }
    }
}

impl From<GateError> for ApiError {
    fn from(error: GateError) -> Self {
        Self {
            fields: find_field_error(&error).into_iter().cloned().collect(),
            retry_after: error.retry_after(),
            decision_id: error.decision_id(),
            max_age_s: error.max_age_s().and_then(NonZeroU32::new),
            cause: Some(error_chain(&error).into()),
            ..Problem::from_error(&error).into()
        }
    }
}

impl IntoResponse for ApiError {
    /// Sets status and headers. The trace middleware writes the body, since it knows the request's id and path.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some(delay) = self.retry_after() {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.kind == ErrorKind::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge());
        }
        if self.code == "step_up_required" {
            response.headers_mut().append(WWW_AUTHENTICATE, claims_challenge());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns the first field error among an error and its sources.
fn find_field_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a FieldError> {
    with_sources(error).find_map(|cause| cause.downcast_ref())
}

/// Joins the messages of an error and its sources in one line for the log.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    with_sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn with_sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
