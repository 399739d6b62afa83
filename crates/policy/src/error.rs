//! Why the gate said no, or could not say yes.

use domain::decision::RefusalCode;
use domain::error::{Classify, ErrorKind};
use domain::ids::AuditId;
use domain::ports::StoreError;
use runtime::error::RuntimeError;
use std::time::Duration;

/// Why a request did not pass, or came to nothing behind the gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No valid token. The reason is for the log; the caller learns only `invalid_token`.
    #[error("the token was refused: {reason}")]
    Unauthenticated {
        /// One code per refusal, for the log.
        reason: &'static str,
    },
    /// No token was sent.
    #[error("no token was sent")]
    TokenMissing,
    /// A valid token of a user who proved too long ago who they are (RFC 9470).
    #[error("the user must sign in again")]
    StepUp {
        /// How long ago it may be, in seconds.
        max_age_s: u32,
    },
    /// A valid token, and no way in: no tenant is mapped, the tenant or the user is switched off, a scope is missing.
    #[error("the caller was refused: {code}")]
    Refused {
        /// The stable code that the caller reads.
        code: RefusalCode,
        /// The row that records why, where one could be written.
        decision: Option<AuditId>,
    },
    /// A caller who was refused too often within a minute.
    #[error("the caller was refused too often")]
    RefusedTooOften {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// The matrix, a missing grant or a clearance says no.
    #[error("the decision was no: {reason}")]
    Denied {
        /// Why, for log and audit.
        reason: RefusalCode,
        /// The row that records why, where one could be written.
        decision: Option<AuditId>,
    },
    /// What the command is about is not there, or not for this caller to know of.
    #[error("what the command is about is not there")]
    NotFound,
    /// The key set of the issuer cannot be had.
    #[error("the issuer's keys cannot be had")]
    KeysUnavailable,
    /// The intent could not be recorded, so nothing ran.
    #[error("the audit log cannot be written")]
    Audit(#[source] StoreError),
    /// The database failed while deciding.
    #[error("the decision could not be made")]
    Store(#[source] StoreError),
    /// The use case refused: what it went by is known only once the body was read.
    #[error("the use case refused")]
    RefusedByUseCase {
        /// The outcome row that records why.
        decision: AuditId,
        /// Why.
        #[source]
        source: RuntimeError,
    },
    /// The use case failed.
    #[error("the use case failed")]
    Runtime(#[from] RuntimeError),
}

impl GateError {
    /// The audit row that says why, for a refusal that has one.
    #[must_use]
    pub fn decision(&self) -> Option<AuditId> {
        match self {
            Self::Refused { decision, .. } | Self::Denied { decision, .. } => *decision,
            Self::RefusedByUseCase { decision, .. } => Some(*decision),
            _ => None,
        }
    }

    /// How long ago the caller may have signed in, in seconds, where they must sign in again.
    #[must_use]
    pub fn max_age_s(&self) -> Option<u32> {
        match self {
            Self::StepUp { max_age_s } => Some(*max_age_s),
            _ => None,
        }
    }
}

impl Classify for GateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unauthenticated { .. } | Self::TokenMissing | Self::StepUp { .. } => ErrorKind::Unauthenticated,
            Self::Refused { .. } | Self::Denied { .. } => ErrorKind::Forbidden,
            Self::RefusedTooOften { .. } => ErrorKind::RateLimited,
            Self::NotFound => ErrorKind::NotFound,
            Self::KeysUnavailable | Self::Audit(_) => ErrorKind::Unavailable,
            Self::Store(source) => source.kind(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Refused { code, .. } => code.as_str(),
            Self::StepUp { .. } => "insufficient_user_authentication",
            Self::Audit(_) => "audit_unavailable",
            Self::KeysUnavailable => "identity_unavailable",
            Self::Store(source) => source.code(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.code(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Refused { code, .. } => Some(refusal(*code).to_owned()),
            Self::Audit(_) => Some("The audit log cannot be written, so nothing was done.".to_owned()),
            Self::KeysUnavailable => Some("The identity provider's keys cannot be had at the moment.".to_owned()),
            Self::Store(source) => source.public_detail(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.public_detail(),
            Self::StepUp { .. } => Some("The sign-in was too long ago; sign in again.".to_owned()),
            Self::Unauthenticated { .. }
            | Self::TokenMissing
            | Self::RefusedTooOften { .. }
            | Self::Denied { .. }
            | Self::NotFound => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Audit(_) | Self::KeysUnavailable => Some(Duration::from_secs(5)),
            Self::RefusedTooOften { retry_after } => Some(*retry_after),
            Self::Store(source) => source.retry_after(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

/// A refusal at the door, in words.
pub(crate) fn refusal(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::TenantUnmapped => "The token names no tenant that this platform knows.",
        RefusalCode::TenantSuspended => "The tenant is switched off.",
        RefusalCode::UserDisabled => "The user is switched off.",
        RefusalCode::GroupsOverage => "The token leaves out the groups; ask the administrator to use app roles.",
        RefusalCode::GuestRefused => "Guests of the directory are not let in.",
        RefusalCode::InsufficientScope => "The token lacks the scope or role that this platform requires.",
        _ => "Access is refused.",
    }
}
