//! Why an approved write was not executed, and whether it may have taken effect all the same.

use domain::approval::ExecutionError;
use domain::error::{Classify as _, ErrorKind};
use domain::ports::StoreError;

/// Why a tool that writes failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The platform has no such tool any more, or another version of it.
    #[error("the tool is not the one that was approved")]
    ToolChanged,
    /// The approval is not being executed, or its content is not what was approved.
    #[error("the call is not the one that was approved")]
    NotApproved,
    /// The system, or what would be sent to it, is not what the approvers saw.
    #[error("what would be sent to the maintenance system is not what the approvers saw: its settings were changed")]
    PreviewChanged,
    /// The plant mode forbids writes; nothing was changed.
    #[error("the plant mode forbids writes")]
    PlantMode,
    /// The arguments are not valid for the tool any more.
    #[error("the arguments are not valid: {detail}")]
    InvalidArguments {
        /// What is wrong with them.
        detail: String,
    },
    /// The settings of the system do not permit a request; nothing was sent.
    #[error("the maintenance system cannot be used: {detail}")]
    Misconfigured {
        /// What is wrong with them, without secrets.
        detail: String,
    },
    /// The plant system refused the write; nothing was changed.
    #[error("the maintenance system refused: {detail}")]
    Refused {
        /// The system's reason: its status, and its own words, shortened.
        detail: String,
    },
    /// The system could not be reached, or is too busy; nothing was changed.
    #[error("the maintenance system cannot be reached: {detail}")]
    Unreachable {
        /// What failed, without content.
        detail: String,
    },
    /// The system was sent something and gave no usable answer; the write may have taken effect.
    #[error("the maintenance system gave no usable answer: {detail}")]
    Unclear {
        /// What failed: no answer, or the status with the system's own words, shortened.
        detail: String,
        /// Whether the system answered with an error, after which it is not at work any more.
        is_answered: bool,
    },
    /// The MCP server of the tool refused the call, or was not called; nothing was changed.
    #[error("{detail}")]
    ServerRefused {
        /// Why, without content.
        detail: String,
    },
    /// The MCP server of the tool was called, and gave no clear answer; the write may have taken effect.
    #[error("{detail}")]
    ServerUnclear {
        /// What failed, without content.
        detail: String,
    },
    /// The system cannot be asked what an earlier attempt wrote, as is so for MCP servers.
    #[error("the system cannot be asked what was written")]
    Unsearchable,
    /// The plant mode changed while the write was under way; it may have taken effect.
    #[error("the plant mode was changed while it was under way")]
    Interrupted,
    /// The tool exceeded its time limit; the write may have taken effect.
    #[error("the write took too long")]
    TimedOut,
    /// The platform's own database failed; the write may have taken effect.
    #[error("the database could not be used")]
    System(#[from] StoreError),
}

impl WriteError {
    /// Whether the write may have taken effect although it failed.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        match self {
            Self::Unclear { .. }
            | Self::ServerUnclear { .. }
            | Self::Unsearchable
            | Self::Interrupted
            | Self::TimedOut
            | Self::System(_) => true,
            Self::ToolChanged
            | Self::NotApproved
            | Self::PreviewChanged
            | Self::PlantMode
            | Self::InvalidArguments { .. }
            | Self::Misconfigured { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::ServerRefused { .. } => false,
        }
    }

    /// Whether the system gave no answer, so that it may be at work still.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Unclear { is_answered: false, .. })
    }

    /// Whether it is known what the system made of the write: it answered, or certainly received nothing.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let is_open =
            matches!(self, Self::ServerUnclear { .. } | Self::Unsearchable | Self::Interrupted | Self::System(_));
        !self.is_unanswered() && !is_open
    }

    /// Whether the platform's own database is not available, so that nothing can be decided.
    #[must_use]
    pub fn is_outage_of_store(&self) -> bool {
        matches!(self, Self::System(source) if source.kind() == ErrorKind::Unavailable)
    }

    /// Whether a later attempt may succeed: the system is searched for what an earlier attempt created before it is
    /// written again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Unclear { .. } | Self::Unreachable { .. }) || self.is_outage_of_store()
    }

    /// The error as it is stored with an approval that was certainly not executed.
    #[must_use]
    pub fn to_execution_error(&self) -> ExecutionError {
        ExecutionError::new(self.code(), format!("Not executed: {self}."))
    }

    /// The error as it is stored with an approval of which nobody can find out whether it was executed.
    #[must_use]
    pub fn to_unknown_outcome(&self) -> ExecutionError {
        let system = match self {
            Self::ServerUnclear { .. } | Self::Unsearchable => "system of the tool",
            _ => "maintenance system",
        };
        let detail = format!("It is not known whether it was executed; look into the {system}: {self}.");
        ExecutionError::new(ExecutionError::OUTCOME_UNKNOWN, detail)
    }

    /// Stable code, which may be logged and shown everywhere.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ToolChanged => "tool_changed",
            Self::NotApproved => "digest_mismatch",
            Self::PreviewChanged => "preview_changed",
            Self::PlantMode | Self::Interrupted => "plant_mode",
            Self::InvalidArguments { .. } => "invalid_arguments",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Refused { .. } | Self::ServerRefused { .. } => "refused",
            Self::Unreachable { .. }
            | Self::Unclear { .. }
            | Self::ServerUnclear { .. }
            | Self::Unsearchable
            | Self::TimedOut
            | Self::System(_) => "unavailable",
        }
    }
}
