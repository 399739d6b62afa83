//! What can go wrong between the platform and its database.

use crate::error::{Classify, ErrorKind};
use std::time::Duration;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, or none free in time.
    #[error("the database is not available while {doing}")]
    Unavailable {
        /// What was being done, as a participle clause.
        doing: &'static str,
        /// What went wrong; never content.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The row clashes with another, or names one that is not there.
    #[error("{what} conflicts with what is stored")]
    Conflict {
        /// What conflicts, as a noun.
        what: &'static str,
    },
    /// The statement failed, which is a bug.
    #[error("the database refused {doing}")]
    Failed {
        /// What was being done, as a participle clause.
        doing: &'static str,
        /// What went wrong; never content.
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
            Self::Conflict { what } => Some(format!("{what} conflicts with what is stored.")),
            Self::Failed { .. } => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable { .. }).then_some(Duration::from_secs(5))
    }
}
