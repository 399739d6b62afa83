//! Failure kinds that all layers share.
//!
//! Each error type maps itself to a kind; only the gateway maps kinds to HTTP statuses.

use crate::ids::AuditId;
use serde_json::Value;
use std::time::Duration;

/// What kind of failure an error is; decides the HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The request cannot be parsed.
    Malformed,
    /// A field is well-formed but its value is not allowed.
    InvalidField,
    /// The request has no valid credential.
    Unauthenticated,
    /// The caller is authenticated, but the operation is not allowed.
    Forbidden,
    /// The resource does not exist, or is hidden from this caller.
    NotFound,
    /// The request conflicts with the current state of the resource.
    Conflict,
    /// The resource exists, but the time for the request has passed.
    Gone,
    /// The request or the file is larger than allowed.
    TooLarge,
    /// The content type is not supported.
    UnsupportedType,
    /// A rate limit or quota is exceeded.
    RateLimited,
    /// A dependency is unavailable; the request may succeed later.
    Unavailable,
    /// A bug in the platform.
    Internal,
}

impl ErrorKind {
    /// Every kind, in order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::InvalidField,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Gone,
        Self::TooLarge,
        Self::UnsupportedType,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The stable machine-readable code, for errors that have no more specific one.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidField => "validation",
            Self::Unauthenticated => "invalid_token",
            Self::Forbidden => "policy_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::TooLarge => "payload_too_large",
            Self::UnsupportedType => "unsupported_media",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// An error that knows its kind, and which of its details a caller may see.
pub trait Classify: std::error::Error {
    /// Kind of failure; decides the HTTP status.
    fn kind(&self) -> ErrorKind;

    /// The stable code; more specific than that of the kind if clients may want to handle this error differently.
    fn code(&self) -> &'static str {
        self.kind().code()
    }

    /// A sentence for the caller, without SQL, paths, content or secrets. `None` uses the kind's default sentence.
    fn public_detail(&self) -> Option<String> {
        None
    }

    /// Details that the audit log records in addition to the code: a JSON object, never content.
    fn audit_metadata(&self) -> Option<Value> {
        None
    }

    /// How long to wait before a retry; `None` if a retry is pointless or the time is unknown.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// A failure in the form that a caller may see: the protocol-independent part of a problem document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Kind of failure; decides the HTTP status.
    pub kind: ErrorKind,
    /// The stable machine-readable code.
    pub code: &'static str,
    /// A sentence for the caller; `None` uses the kind's default sentence.
    pub detail: Option<String>,
    /// Audit row with the reasons, for a refusal that has one.
    pub decision_id: Option<AuditId>,
}

impl Problem {
    /// The part of `error` that a caller may see.
    #[must_use]
    pub fn from_error(error: &dyn Classify) -> Self {
        Self { kind: error.kind(), code: error.code(), detail: error.public_detail(), decision_id: None }
    }
}
