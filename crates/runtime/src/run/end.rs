//! How a run ended.

use crate::error::RuntimeError;
use domain::audit::ResultStatus;
use domain::conversation::MessageStatus;
use domain::error::{Classify as _, Problem};
use domain::model_call::CallStatus;
use domain::run::FinishReason;

/// How a run ended.
#[derive(Debug)]
pub enum RunEnd {
    /// The model finished its last reply.
    Completed(FinishReason),
    /// Its user or a shutdown cancelled it, or nobody read it any more.
    Cancelled,
    /// Its user may no longer have the answer.
    Revoked(Problem),
    Failed(RuntimeError),
}

impl RunEnd {
    pub fn finish_reason(&self) -> FinishReason {
        match self {
            Self::Completed(reason) => *reason,
            Self::Cancelled | Self::Revoked(_) => FinishReason::Cancelled,
            Self::Failed(_) => FinishReason::Error,
        }
    }

    /// Status of the audit outcome.
    pub fn result_status(&self) -> ResultStatus {
        match self {
            Self::Completed(_) => ResultStatus::Success,
            Self::Cancelled => ResultStatus::Cancelled,
            Self::Revoked(_) => ResultStatus::Denied,
            Self::Failed(_) => ResultStatus::Error,
        }
    }

    /// Status of a stored answer.
    pub fn message_status(&self) -> MessageStatus {
        match self {
            Self::Completed(_) => MessageStatus::Complete,
            Self::Cancelled | Self::Revoked(_) => MessageStatus::Cancelled,
            Self::Failed(_) => MessageStatus::Error,
        }
    }

    /// Status and error code of a model call that this end interrupted.
    pub fn interrupted_call(&self) -> (CallStatus, Option<&'static str>) {
        match self {
            Self::Failed(error) => (CallStatus::Error, Some(error.code())),
            Self::Completed(_) | Self::Cancelled | Self::Revoked(_) => (CallStatus::Cancelled, None),
        }
    }
}
