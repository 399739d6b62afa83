//! What kinds of failure there are, whichever layer they come from.
//!
//! Each error type says its kind once; the gateway alone knows which HTTP status a kind is.

use crate::ids::AuditId;
use std::time::Duration;

/// The closed list of failure kinds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The request cannot be parsed.
    Malformed,
    /// A field is well-formed but its value is not allowed.
    InvalidField,
    /// No valid credential.
    Unauthenticated,
    /// Authenticated, but not allowed.
    Forbidden,
    /// Absent, or hidden from this caller.
    NotFound,
    /// Clashes with the present state.
    Conflict,
    /// Larger than allowed.
    TooLarge,
    /// A type of content that is not handled.
    UnsupportedType,
    /// Too many requests.
    RateLimited,
    /// Something that this needs is down; trying again later makes sense.
    Unavailable,
    /// A bug in the platform.
    Internal,
}

impl ErrorKind {
    /// The stable machine-readable code of a failure that has no more exact one.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidField => "validation",
            Self::Unauthenticated => "invalid_token",
            Self::Forbidden => "policy_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooLarge => "payload_too_large",
            Self::UnsupportedType => "unsupported_media",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// An error that knows its kind and what of it a caller may read.
pub trait Classify: std::error::Error {
    /// Kind of failure; decides the HTTP status.
    fn kind(&self) -> ErrorKind;

    /// The stable code; more exact than the kind's own where a program may want to react to it.
    fn code(&self) -> &'static str {
        self.kind().code()
    }

    /// A sentence for the caller. Never holds SQL, paths, content or secrets. `None`: the kind's own sentence.
    fn public_detail(&self) -> Option<String> {
        None
    }

    /// When trying again makes sense.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// A failure as a caller may read it: the part of a problem document that does not depend on the protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Kind of failure; decides the HTTP status.
    pub kind: ErrorKind,
    /// The stable code.
    pub code: &'static str,
    /// A sentence, if there is more to say than the kind does.
    pub detail: Option<String>,
    /// The audit row that says why, for a refusal that has one.
    pub decision: Option<AuditId>,
}

impl Problem {
    /// What of `error` a caller may read.
    #[must_use]
    pub fn of(error: &dyn Classify) -> Self {
        Self { kind: error.kind(), code: error.code(), detail: error.public_detail(), decision: None }
    }
}
