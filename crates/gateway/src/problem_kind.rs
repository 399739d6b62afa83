//! The problem types (RFC 9457): path, title and default detail of each error kind.

use domain::error::ErrorKind;

/// Title of a 405. It has no error kind, since axum returns it.
pub(crate) const METHOD_NOT_ALLOWED_TITLE: &str = "The method is not allowed";
/// Detail of a 405.
pub(crate) const METHOD_NOT_ALLOWED_DETAIL: &str =
    "This address does not support the method; the Allow header lists the methods that it supports.";

/// Last path segment of the problem type.
pub(crate) fn slug(kind: ErrorKind) -> String {
    kind.code().replace('_', "-")
}

/// Title of the problem type.
pub(crate) const fn title(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Malformed => "The request cannot be understood",
        ErrorKind::InvalidField => "A field is not allowed",
        ErrorKind::Unauthenticated => "Not signed in",
        ErrorKind::Forbidden => "Not allowed",
        ErrorKind::NotFound => "Not found",
        ErrorKind::Conflict => "Conflict with the current state",
        ErrorKind::Gone => "Too late",
        ErrorKind::TooLarge => "Too large",
        ErrorKind::UnsupportedType => "The content type is not supported",
        ErrorKind::RateLimited => "Too many requests",
        ErrorKind::Unavailable => "Temporarily unavailable",
        ErrorKind::Internal => "Internal server error",
    }
}

/// Default detail of an error that has no specific one.
pub(crate) const fn default_detail(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Malformed => "The request could not be parsed.",
        ErrorKind::InvalidField => "A field of the request is understood and not allowed; see `errors`.",
        ErrorKind::Unauthenticated => "A valid bearer token is needed.",
        ErrorKind::Forbidden => "Your role does not allow this.",
        ErrorKind::NotFound => "Nothing exists at this address.",
        ErrorKind::Conflict => "The request conflicts with the current state.",
        ErrorKind::Gone => "The time for this request has passed.",
        ErrorKind::TooLarge => "The request is larger than allowed.",
        ErrorKind::UnsupportedType => "The content type is not supported at this address.",
        ErrorKind::RateLimited => {
            "You have made more requests than your limit allows; the Retry-After header says when to try again."
        }
        ErrorKind::Unavailable => {
            "A component that the request needs is down; the Retry-After header says when to try again."
        }
        ErrorKind::Internal => "The server failed; its log has the cause under the request id.",
    }
}
