//! Errors of the use cases.

use crate::prompt::templates::TemplateError;
use domain::budget::BudgetLimit;
use domain::error::{Classify, ErrorKind};
use domain::model::ModelError;
use domain::ports::{RandomSourceError, StoreError};
use domain::privacy::PatternCounts;
use domain::upload::FieldError;
use serde_json::{Value, json};
use std::time::Duration;
use tools::error::{IngestError, ToolError};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The target of the command does not exist, or the caller must not learn that it exists.
    #[error("{target} was not found")]
    NotFound {
        /// Name of the target with its article, such as `the document`.
        target: &'static str,
    },
    /// The command conflicts with the current state.
    #[error("{detail}")]
    Conflict {
        /// Reason, as a sentence for the caller.
        detail: &'static str,
    },
    /// An answer is being written in the conversation.
    #[error("the conversation is busy")]
    ConversationBusy,
    /// The target was changed since the caller read it.
    #[error("the version is stale")]
    StaleVersion,
    /// The remaining model budget is too small.
    #[error("the remaining budget is too small: {limit}")]
    BudgetExceeded {
        /// Limit that was reached.
        limit: BudgetLimit,
        /// Time until the limit's period ends, or until runs in progress may release their reservations.
        retry_after: Duration,
    },
    /// The answer is based on content above the caller's clearance.
    #[error("the content is classified above the caller's clearance")]
    AboveClearance,
    /// No backend serves the requested model.
    #[error("no backend serves the model")]
    ModelNotFound,
    /// The content is classified above what the model may see.
    #[error("the content is classified above what the model may see")]
    AboveModelClassification,
    /// The user wrote values that the tenant's privacy rules block.
    #[error("the privacy rules block the request")]
    PersonalData {
        /// How often each pattern matched.
        found: PatternCounts,
    },
    /// A field has a well-formed value that is not allowed.
    #[error("a field is not allowed")]
    Invalid(#[from] FieldError),
    /// The platform or the tenant is at its limit of concurrent runs.
    #[error("too many runs at the same time")]
    Busy,
    /// The run took longer than its time limit.
    #[error("the run exceeded its time limit")]
    TimeLimit,
    /// No secret could be generated.
    #[error(transparent)]
    RandomSourceError(#[from] RandomSourceError),
    /// The use case panicked, which is a bug.
    #[error("the use case panicked")]
    Panicked,
    /// The database failed or is not available.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A tool failed, or its call was refused.
    #[error("a tool failed")]
    Tool(#[from] ToolError),
    /// Storing or reading a document failed.
    #[error("a document could not be handled")]
    Ingest(#[from] IngestError),
    /// A part of the prompt could not be rendered, which is a bug.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The model failed, refused the request or is not available.
    #[error("the model failed")]
    Model(#[from] ModelError),
}

impl RuntimeError {
    fn classified_source(&self) -> Option<&dyn Classify> {
        match self {
            Self::Store(source) => Some(source),
            Self::Tool(source) => Some(source),
            Self::Ingest(source) => Some(source),
            Self::Model(source) => Some(source),
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Invalid(_)
            | Self::ConversationBusy
            | Self::StaleVersion
            | Self::BudgetExceeded { .. }
            | Self::AboveClearance
            | Self::ModelNotFound
            | Self::AboveModelClassification
            | Self::PersonalData { .. }
            | Self::Busy
            | Self::TimeLimit
            | Self::RandomSourceError(_)
            | Self::Template(_)
            | Self::Panicked => None,
        }
    }
}

impl Classify for RuntimeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::ModelNotFound => ErrorKind::NotFound,
            Self::Conflict { .. } | Self::ConversationBusy | Self::StaleVersion => ErrorKind::Conflict,
            Self::BudgetExceeded { .. } => ErrorKind::RateLimited,
            Self::AboveClearance | Self::AboveModelClassification => ErrorKind::Forbidden,
            Self::Invalid(_) | Self::PersonalData { .. } => ErrorKind::InvalidField,
            Self::Busy | Self::TimeLimit | Self::RandomSourceError(_) => ErrorKind::Unavailable,
            other => other.classified_source().map_or(ErrorKind::Internal, Classify::kind),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ConversationBusy => "conversation_busy",
            Self::StaleVersion => "stale_version",
            Self::BudgetExceeded { .. } => "quota_exceeded",
            Self::AboveClearance => "above_clearance",
            Self::ModelNotFound => "model_not_found",
            Self::AboveModelClassification => "model_classification",
            Self::PersonalData { .. } => "pii_blocked",
            Self::TimeLimit => "upstream_timeout",
            other => other.classified_source().map_or_else(|| other.kind().code(), Classify::code),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Conflict { detail } => Some((*detail).to_owned()),
            Self::ConversationBusy => {
                Some("An answer is being written in this conversation; wait for its end, or cancel it.".to_owned())
            }
            Self::StaleVersion => Some("The resource was changed since you read it; read it again.".to_owned()),
            Self::BudgetExceeded { limit, .. } => Some(budget_detail(*limit)),
            Self::AboveClearance => Some("The answer is based on content above your clearance.".to_owned()),
            Self::ModelNotFound => Some("The model does not exist, or you may not use it.".to_owned()),
            Self::AboveModelClassification => Some(
                "Earlier answers or tool results may be classified above what this model may see; leave them out, or \
                 ask the assistant."
                    .to_owned(),
            ),
            Self::PersonalData { found } => Some(blocked_detail(found)),
            Self::Busy => Some("The limit of concurrent answers is reached; try again later.".to_owned()),
            Self::TimeLimit => {
                Some("The answer exceeded its time limit; the part that was written is kept.".to_owned())
            }
            other => other.classified_source().and_then(Classify::public_detail),
        }
    }

    fn audit_metadata(&self) -> Option<Value> {
        match self {
            Self::PersonalData { found } => Some(json!({ "privacy": { "action": "block", "found": found } })),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_secs(2)),
            Self::BudgetExceeded { retry_after, .. } => Some(*retry_after),
            other => other.classified_source().and_then(Classify::retry_after),
        }
    }
}

fn blocked_detail(found: &PatternCounts) -> String {
    let patterns: Vec<_> = found.patterns().collect();
    format!("The tenant's privacy rules do not allow sending this to a model ({}); remove it.", patterns.join(", "))
}

fn budget_detail(limit: BudgetLimit) -> String {
    let reason = match limit {
        BudgetLimit::TenantTokens => "The tenant's tokens for this day are used up",
        BudgetLimit::UserTokens => "Your tokens for this day are used up",
        BudgetLimit::TenantCost => "The tenant's model budget for this month is used up",
        BudgetLimit::UserCost => "Your model budget for this month is used up",
    };
    format!("{reason}, or reserved for answers in progress ({limit}).")
}
