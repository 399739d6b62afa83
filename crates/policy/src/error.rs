//! Errors of the gate.

use domain::decision::RefusalCode;
use domain::error::{Classify, ErrorKind};
use domain::ids::AuditId;
use domain::ports::StoreError;
use runtime::error::RuntimeError;
use std::time::Duration;

/// Why a request was refused, or failed in the use case.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The token is not valid. The caller only learns `invalid_token`.
    #[error("the token was refused: {reason}")]
    Unauthenticated {
        /// Code of the failed check, for the log.
        reason: &'static str,
    },
    /// The request has no token.
    #[error("the token is missing")]
    TokenMissing,
    /// The token is valid, but the user authenticated too long ago (RFC 9470).
    #[error("the user must sign in again")]
    StepUpRequired {
        /// Maximum age of the authentication, in seconds.
        max_age_s: u32,
    },
    /// The token is valid, but the caller is not admitted: the tenant is not mapped, the tenant or the user is
    /// inactive, or a scope is missing.
    #[error("the caller was refused: {code}")]
    CallerRefused {
        /// Stable code that the caller can read.
        code: RefusalCode,
        /// Audit row of the refusal, if it could be written.
        decision_id: Option<AuditId>,
    },
    /// The caller was refused too often within a minute.
    #[error("the caller was refused too often")]
    RefusedTooOften {
        /// Time until the caller should try again.
        retry_after: Duration,
    },
    /// The matrix, the ownership or the clearance does not allow the operation.
    #[error("the operation was denied: {reason}")]
    OperationDenied {
        /// Reason for the log and the audit row.
        reason: RefusalCode,
        /// Audit row of the refusal, if it could be written.
        decision_id: Option<AuditId>,
    },
    /// The target of the command does not exist, or the caller must not learn that it exists.
    #[error("the target of the command was not found")]
    NotFound,
    /// The keys of the issuer are not available.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
    /// The intent could not be recorded, so the use case did not run.
    #[error("the audit log cannot be written")]
    Audit(#[source] StoreError),
    /// The database failed during the decision.
    #[error("the decision could not be made")]
    Store(#[source] StoreError),
    /// The use case refused the command, for a reason that is only known after the body was read.
    #[error("the use case refused the command")]
    RefusedByUseCase {
        /// Audit row of the outcome.
        decision_id: AuditId,
        /// Error of the use case.
        #[source]
        source: RuntimeError,
    },
    /// The use case failed.
    #[error("the use case failed")]
    Runtime(#[from] RuntimeError),
}

impl GateError {
    /// Audit row of the refusal, if it has one.
    #[must_use]
    pub fn decision_id(&self) -> Option<AuditId> {
        match self {
            Self::CallerRefused { decision_id: decision, .. } | Self::OperationDenied { decision_id: decision, .. } => {
                *decision
            }
            Self::RefusedByUseCase { decision_id: decision, .. } => Some(*decision),
            _ => None,
        }
    }

    /// Maximum age of the authentication in seconds, if the caller must sign in again.
    #[must_use]
    pub fn max_age_s(&self) -> Option<u32> {
        match self {
            Self::StepUpRequired { max_age_s } => Some(*max_age_s),
            Self::Runtime(source) => source.max_age_s(),
            _ => None,
        }
    }
}

impl Classify for GateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unauthenticated { .. } | Self::TokenMissing | Self::StepUpRequired { .. } => {
                ErrorKind::Unauthenticated
            }
            Self::CallerRefused { .. } | Self::OperationDenied { .. } => ErrorKind::Forbidden,
            Self::RefusedTooOften { .. } => ErrorKind::RateLimited,
            Self::NotFound => ErrorKind::NotFound,
            Self::KeysUnavailable | Self::Audit(_) => ErrorKind::Unavailable,
            Self::Store(source) => source.kind(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::CallerRefused { code, .. } => code.as_str(),
            Self::StepUpRequired { .. } => "insufficient_user_authentication",
            Self::Audit(_) => "audit_unavailable",
            Self::KeysUnavailable => "identity_unavailable",
            Self::Store(source) => source.code(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.code(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::CallerRefused { code, .. } => Some(refusal_message(*code).to_owned()),
            Self::Audit(_) => Some("The audit log cannot be written, so nothing was done.".to_owned()),
            Self::KeysUnavailable => Some("The identity provider's keys are not available at the moment.".to_owned()),
            Self::Store(source) => source.public_detail(),
            Self::Runtime(source) | Self::RefusedByUseCase { source, .. } => source.public_detail(),
            Self::StepUpRequired { .. } => Some("The sign-in was too long ago; sign in again.".to_owned()),
            Self::Unauthenticated { .. }
            | Self::TokenMissing
            | Self::RefusedTooOften { .. }
            | Self::OperationDenied { .. }
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

/// Message for a caller who was refused during authentication.
pub(crate) fn refusal_message(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::TenantUnmapped => "The token's tenant is not known to this platform.",
        RefusalCode::TenantSuspended => "The tenant is inactive.",
        RefusalCode::UserDisabled => "The user is inactive.",
        RefusalCode::SessionRevoked => "The session was ended; sign in again.",
        RefusalCode::GroupsOverage => "The token omits the groups; ask the administrator to use app roles.",
        RefusalCode::GuestRefused => "Guests of the directory are not admitted.",
        RefusalCode::InsufficientScope => "The token lacks the scope or role that this platform requires.",
        _ => "Access is refused.",
    }
}
