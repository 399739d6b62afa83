//! The ways in which a run can end, and the statuses that follow from each.

use crate::error::RuntimeError;
use domain::audit::ResultStatus;
use domain::conversation::MessageStatus;
use domain::error::{Classify as _, Problem};
use domain::model_call::CallStatus;
use domain::run::FinishReason;

/// The ways in which a run can end, and the statuses that follow from each.
#[derive(Debug)]
pub enum RunEnd {
    /// The model finished its last reply.
    Completed(FinishReason),
    /// It was cancelled by its user or a shutdown, or had no reader for the grace period.
    Cancelled,
    /// Its user is no longer allowed to see the answer.
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

    /// Returns the status of the audit outcome.
    pub fn result_status(&self) -> ResultStatus {
        match self {
            Self::Completed(_) => ResultStatus::Success,
            Self::Cancelled => ResultStatus::Cancelled,
            Self::Revoked(_) => ResultStatus::Denied,
            Self::Failed(_) => ResultStatus::Error,
        }
    }

    /// Returns the status of the stored answer.
    pub fn message_status(&self) -> MessageStatus {
        match self {
            Self::Completed(_) => MessageStatus::Complete,
            Self::Cancelled | Self::Revoked(_) => MessageStatus::Cancelled,
            Self::Failed(_) => MessageStatus::Error,
        }
    }

    /// Returns the status and error code of a model call that was in progress when the run ended.
    pub fn interrupted_call_status(&self) -> (CallStatus, Option<&'static str>) {
        match self {
            Self::Failed(error) => (CallStatus::Error, Some(error.code())),
            Self::Completed(_) | Self::Cancelled | Self::Revoked(_) => (CallStatus::Cancelled, None),
        }
    }
}
