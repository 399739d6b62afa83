//! Why a request, a decision or a cancellation was refused.

use domain::approval::Approval;
use domain::error::{Classify, ErrorKind};
use domain::plant::PlantMode;
use std::time::Duration;

/// Why an operation on an approval was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The approver's sign-in is too old, or older than the request.
    #[error("the approver must sign in again")]
    StepUpRequired {
        /// Maximum age of the sign-in, in seconds.
        max_age_s: u32,
    },
    /// The token belongs to a program, not to a person.
    #[error("a program's token never decides")]
    MachineCredential,
    /// The requester tried to decide.
    #[error("requesters do not decide on their own requests")]
    SelfApproval,
    /// The policy does not name the caller as an approver.
    #[error("the caller is not an approver of this request")]
    NotApprover,
    /// Somebody else made the request.
    #[error("the caller did not make this request")]
    NotRequester,
    /// The request is no longer pending, or the caller has already decided.
    #[error("the request is already decided")]
    AlreadyDecided,
    /// The digest does not match the request.
    #[error("the digest is not that of the request")]
    DigestMismatch,
    /// The user has as many pending requests as one user may have.
    #[error("the user has too many pending requests")]
    TooManyOwnPending,
    /// The tenant has as many pending requests as a tenant may have.
    #[error("the tenant has too many pending requests")]
    TooManyPending,
    /// The request has expired.
    #[error("the request has expired")]
    Expired,
    /// The plant mode forbids writes.
    #[error("the plant mode is {mode}")]
    PlantMode {
        /// The mode in force.
        mode: PlantMode,
    },
}

impl ApprovalError {
    /// Whether the attempt is recorded as a refused decision (`policy.denied`).
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::StepUpRequired { .. }
            | Self::MachineCredential
            | Self::SelfApproval
            | Self::NotApprover
            | Self::DigestMismatch => true,
            Self::NotRequester
            | Self::AlreadyDecided
            | Self::TooManyOwnPending
            | Self::TooManyPending
            | Self::Expired
            | Self::PlantMode { .. } => false,
        }
    }
}

impl Classify for ApprovalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::StepUpRequired { .. } => ErrorKind::Unauthenticated,
            Self::MachineCredential | Self::SelfApproval | Self::NotApprover | Self::NotRequester => {
                ErrorKind::Forbidden
            }
            Self::AlreadyDecided | Self::DigestMismatch | Self::TooManyOwnPending | Self::TooManyPending => {
                ErrorKind::Conflict
            }
            Self::Expired => ErrorKind::Gone,
            Self::PlantMode { .. } => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::StepUpRequired { .. } => "step_up_required",
            Self::MachineCredential => "machine_token",
            Self::SelfApproval => "self_approval",
            Self::NotApprover => "not_approver",
            Self::NotRequester => "not_requester",
            Self::AlreadyDecided => "already_decided",
            Self::DigestMismatch => "digest_mismatch",
            Self::TooManyOwnPending | Self::TooManyPending => "too_many_pending",
            Self::Expired => "expired",
            Self::PlantMode { .. } => "plant_mode",
        }
    }

    fn public_detail(&self) -> Option<String> {
        Some(match self {
            Self::StepUpRequired { max_age_s } => {
                format!(
                    "Sign in again: to decide, the sign-in must be after the request and at most {max_age_s} s ago."
                )
            }
            Self::MachineCredential => "People decide: this token belongs to a program.".to_owned(),
            Self::SelfApproval => "You made this request; somebody else must decide on it.".to_owned(),
            Self::NotApprover => "The policy does not name you as an approver of this request.".to_owned(),
            Self::NotRequester => "Only the user who made this request can withdraw it.".to_owned(),
            Self::AlreadyDecided => {
                "The request is not pending any more, or you have already decided on it; read it again.".to_owned()
            }
            Self::DigestMismatch => {
                "The digest is not that of this request; read the request again and check what it covers.".to_owned()
            }
            Self::TooManyOwnPending => {
                let limit = Approval::MAX_PENDING_PER_REQUESTER;
                format!("{limit} of your requests wait for approval; withdraw some, or wait until they are decided.")
            }
            Self::TooManyPending => {
                let limit = Approval::MAX_PENDING_PER_TENANT;
                format!("{limit} requests wait for approval in your tenant; ask the approvers to decide on them.")
            }
            Self::Expired => "The request has expired; ask for the write again if it is still needed.".to_owned(),
            Self::PlantMode { mode } => {
                format!("Nothing is written while the plant mode is {mode}; ask an administrator when that changes.")
            }
        })
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::PlantMode { .. }).then_some(Duration::from_secs(60))
    }
}
