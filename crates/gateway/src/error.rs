//! What went wrong with a request. The only place that knows which HTTP status an error kind is.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::error::{Classify, ErrorKind, Problem};
use domain::ids::AuditId;
use domain::upload::FieldError;
use policy::error::GateError;
use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

/// When to come back, where the failure itself does not say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// An answer other than success. Becomes a problem document (RFC 9457) on its way out, in [`crate::problem`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ApiError {
    /// Kind: status, title and type follow from it.
    pub(crate) kind: ErrorKind,
    /// Stable code.
    pub(crate) code: &'static str,
    /// A sentence for the caller.
    pub(crate) detail: Option<String>,
    /// The fields that are not allowed.
    pub(crate) fields: Vec<FieldError>,
    /// When trying again makes sense.
    pub(crate) retry_after: Option<Duration>,
    /// What happened, for the log only.
    pub(crate) cause: Option<Box<str>>,
    /// The audit row that says why, for a refusal.
    pub(crate) decision: Option<AuditId>,
    /// No token came with the request; RFC 6750 has no error code for that.
    pub(crate) without_token: bool,
    /// The caller must have signed in no longer ago than these seconds (RFC 9470).
    pub(crate) max_age_s: Option<NonZeroU32>,
}

impl ApiError {
    /// An error of a kind, with a sentence.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::of(kind) }
    }

    /// An error that has no more to say than its kind.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        Self {
            kind,
            code: kind.code(),
            detail: None,
            fields: Vec::new(),
            retry_after: None,
            cause: None,
            decision: None,
            without_token: false,
            max_age_s: None,
        }
    }

    /// A field that is not allowed; `pointer` is a JSON pointer (RFC 6901), or `/name` of a query parameter.
    pub(crate) fn field(pointer: impl Into<String>, detail: impl ToString) -> Self {
        FieldError { pointer: pointer.into(), detail: detail.to_string() }.into()
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        status(self.kind)
    }

    /// What a 401 asks for (RFC 6750 §3, RFC 9470 §3).
    fn challenge(&self) -> HeaderValue {
        match self.max_age_s {
            None if self.without_token => HeaderValue::from_static("Bearer"),
            None => HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            Some(seconds) => {
                let text = format!(
                    r#"Bearer error="insufficient_user_authentication", error_description="a more recent sign-in is required", max_age="{seconds}""#
                );
                HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
            }
        }
    }

    /// When to come back: always there for 429 and 503.
    fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Some(self.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
            _ => self.retry_after,
        }
    }
}

/// The table: kind → status.
pub(crate) const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
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
        Self { fields: vec![field], ..Self::of(ErrorKind::InvalidField) }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code, detail: problem.detail, decision: problem.decision, ..Self::of(problem.kind) }
    }
}

impl From<GateError> for ApiError {
    fn from(error: GateError) -> Self {
        Self {
            fields: field_in(&error).into_iter().cloned().collect(),
            retry_after: error.retry_after(),
            decision: error.decision(),
            max_age_s: error.max_age_s().and_then(NonZeroU32::new),
            cause: Some(chain(&error).into()),
            ..Problem::of(&error).into()
        }
    }
}

impl IntoResponse for ApiError {
    /// Status and headers; the body is written where the request's id and path are known.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some(after) = self.retry_after() {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.kind == ErrorKind::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The field that an error from below is about, wherever in its chain of sources.
fn field_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a FieldError> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error with all its sources, in one line for the log.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
