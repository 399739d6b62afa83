//! What can go wrong in a use case.

use domain::budget::BudgetLimit;
use domain::error::{Classify, ErrorKind};
use domain::model::ModelError;
use domain::ports::{NoRandomness, StoreError};
use domain::upload::FieldError;
use std::time::Duration;
use tools::error::{IngestError, ToolError};

/// Why a use case came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// What the command is about is not there, or not the caller's.
    #[error("{what} is not there")]
    NotFound {
        /// What.
        what: &'static str,
    },
    /// The command is impossible in the present state.
    #[error("{detail}")]
    Conflict {
        /// Why, as a sentence for the caller.
        detail: &'static str,
    },
    /// What is to be changed was changed by somebody else since.
    #[error("it is at another version by now")]
    Stale,
    /// Too little is left of what may be spent on models.
    #[error("too little is left of {limit}")]
    TokensUsedUp {
        /// Of which limit.
        limit: BudgetLimit,
        /// When there is more: when the period ends, or turns under way do.
        retry_after: Duration,
    },
    /// It rests on content above the caller's clearance.
    #[error("it rests on content above the caller's clearance")]
    AboveClearance,
    /// Nothing serves the model that was asked for.
    #[error("nothing serves the model that was asked for")]
    NoSuchModel,
    /// What is to be told to a model is classified above what it may see.
    #[error("it is classified above what the model may see")]
    AboveModel,
    /// A field is understood and not allowed.
    #[error("a field is not allowed")]
    Invalid(#[from] FieldError),
    /// Too many answers are being written already.
    #[error("the platform is writing as many answers as it can")]
    Busy,
    /// No secret could be generated.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A defect of ours: the use case panicked.
    #[error("the use case panicked")]
    Panicked,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A tool failed.
    #[error("a tool failed")]
    Tool(#[from] ToolError),
    /// A document could not be taken in or handed out.
    #[error("a document could not be handled")]
    Ingest(#[from] IngestError),
    /// The model failed.
    #[error("the model failed")]
    Model(#[from] ModelError),
}

impl RuntimeError {
    fn inner(&self) -> Option<&dyn Classify> {
        match self {
            Self::Store(source) => Some(source),
            Self::Tool(source) => Some(source),
            Self::Ingest(source) => Some(source),
            Self::Model(source) => Some(source),
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Invalid(_)
            | Self::Stale
            | Self::TokensUsedUp { .. }
            | Self::AboveClearance
            | Self::NoSuchModel
            | Self::AboveModel
            | Self::Busy
            | Self::NoRandomness(_)
            | Self::Panicked => None,
        }
    }
}

impl Classify for RuntimeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoSuchModel => ErrorKind::NotFound,
            Self::Conflict { .. } | Self::Stale => ErrorKind::Conflict,
            Self::TokensUsedUp { .. } => ErrorKind::RateLimited,
            Self::AboveClearance | Self::AboveModel => ErrorKind::Forbidden,
            Self::Invalid(_) => ErrorKind::InvalidField,
            Self::Busy | Self::NoRandomness(_) => ErrorKind::Unavailable,
            other => other.inner().map_or(ErrorKind::Internal, Classify::kind),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Stale => "stale_version",
            Self::TokensUsedUp { .. } => "quota_exceeded",
            Self::AboveClearance => "above_clearance",
            Self::NoSuchModel => "model_not_found",
            Self::AboveModel => "model_classification",
            other => other.inner().map_or_else(|| other.kind().code(), Classify::code),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Conflict { detail } => Some((*detail).to_owned()),
            Self::Stale => Some("It was changed since you read it; read it again.".to_owned()),
            Self::TokensUsedUp { limit, .. } => Some(used_up(*limit)),
            Self::AboveClearance => Some("It rests on content above your clearance.".to_owned()),
            Self::NoSuchModel => Some("There is no such model, or it is not for you to use.".to_owned()),
            Self::AboveModel => Some(
                "What earlier answers or tools said may be classified above what this model may see; leave it out, or \
                 ask the assistant."
                    .to_owned(),
            ),
            Self::Busy => Some("The platform is writing as many answers as it can at the moment.".to_owned()),
            other => other.inner().and_then(Classify::public_detail),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_secs(2)),
            Self::TokensUsedUp { retry_after, .. } => Some(*retry_after),
            other => other.inner().and_then(Classify::retry_after),
        }
    }
}

fn used_up(limit: BudgetLimit) -> String {
    let what = match limit {
        BudgetLimit::TenantTokens => "The tenant's tokens of the day are used up",
        BudgetLimit::UserTokens => "Your tokens of the day are used up",
        BudgetLimit::TenantCost => "What the tenant may spend on models in a month is used up",
        BudgetLimit::UserCost => "What you may spend on models in a month is used up",
    };
    format!("{what}, or set aside for answers that are being written ({limit}).")
}
