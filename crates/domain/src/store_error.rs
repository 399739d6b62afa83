//! Errors of the store.

use crate::error::{Classify, ErrorKind};
use std::time::Duration;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or no pooled connection became free in time.
    #[error("the database is not available while {activity}")]
    Unavailable {
        /// What was being done, to complete the sentence; for example "reading a document".
        activity: &'static str,
        /// The underlying error, without content.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The row conflicts with another one, or refers to one that does not exist.
    #[error("a row conflicts with stored data: {reason}")]
    Conflict {
        /// What conflicts, as a full sentence for the caller.
        reason: &'static str,
    },
    /// The database rejected the statement, which is a bug.
    #[error("the database rejected a statement while {activity}")]
    Failed {
        /// What was being done, to complete the sentence; for example "reading a document".
        activity: &'static str,
        /// The underlying error, without content.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Failed { .. } => ErrorKind::Internal,
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Unavailable { .. } => Some("The database is not available at the moment.".to_owned()),
            Self::Conflict { reason } => Some((*reason).to_owned()),
            Self::Failed { .. } => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable { .. }).then_some(Duration::from_secs(5))
    }
}
