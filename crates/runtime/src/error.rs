//! Errors of the use cases.

use crate::approvals::error::ApprovalError;
use crate::prompt::templates::TemplateError;
use domain::budget::BudgetLimit;
use domain::error::{Classify, ErrorKind};
use domain::model::ModelError;
use domain::ports::{PlantReadError, RandomSourceError, StoreError};
use domain::privacy::PatternCounts;
use domain::tool::ToolName;
use domain::upload::FieldError;
use serde_json::{Value, json};
use std::time::Duration;
use tools::error::{IngestError, ToolError};

/// The reason why a use case failed.
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
    /// The tenant has the maximum number of a resource.
    #[error("the tenant has {max} {resources}")]
    TenantLimit {
        /// Name of the resource in the plural, such as `MCP servers`.
        resources: &'static str,
        /// Maximum number of them per tenant.
        max: usize,
    },
    /// An answer is being written in the conversation.
    #[error("the conversation is busy")]
    ConversationBusy,
    /// The target was changed since the caller read it.
    #[error("the version is stale")]
    StaleVersion,
    /// An administrator decided on another definition of a tool than the one that would be covered.
    #[error("a tool has another definition than the one that was read")]
    DefinitionChanged {
        /// Name of the tool, as the caller gave it.
        tool: String,
    },
    /// The remaining model budget is too small.
    #[error("the remaining budget is too small: {limit}")]
    BudgetExceeded {
        /// Limit that was reached.
        limit: BudgetLimit,
        /// Time until the limit's period ends, or until runs in progress may release their reservations.
        retry_after: Duration,
        /// Whether the amount is only reserved, by runs that may release it.
        is_reserved: bool,
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
    /// The agent answered without the tool that its answer must come from.
    #[error("the agent did not use its tool {tool}")]
    ToolNotUsed {
        /// The tool that the answer must come from.
        tool: ToolName,
    },
    /// A step was tried as often as it may be.
    #[error("the attempts of the step are used up")]
    AttemptsExhausted,
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
    /// A request for approval, or a decision on one, was refused.
    #[error("the operation on an approval was refused")]
    Approval(#[from] ApprovalError),
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
    /// A plant system was not read.
    #[error("a plant system was not read")]
    PlantRead(#[from] PlantReadError),
}

impl RuntimeError {
    /// Maximum age of the sign-in in seconds, if the caller must sign in again to decide (RFC 9470).
    #[must_use]
    pub fn max_age_s(&self) -> Option<u32> {
        match self {
            Self::Approval(ApprovalError::StepUpRequired { max_age_s }) => Some(*max_age_s),
            _ => None,
        }
    }

    /// Whether the same work may succeed if it is tried again: a model server or the database was not available, was
    /// overloaded or took too long.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Model(error) => is_transient_model_error(error),
            Self::Store(error) => error.kind() == ErrorKind::Unavailable,
            Self::Busy | Self::TimeLimit => true,
            _ => false,
        }
    }

    /// Whether the model server rejected the request as invalid.
    #[must_use]
    pub(crate) fn is_rejected_by_model_server(&self) -> bool {
        match self {
            Self::Model(ModelError::Exhausted { last, .. }) => matches!(**last, ModelError::Refused { .. }),
            Self::Model(error) => matches!(error, ModelError::Refused { .. }),
            _ => false,
        }
    }

    fn classified_source(&self) -> Option<&dyn Classify> {
        match self {
            Self::Store(source) => Some(source),
            Self::Approval(source) => Some(source),
            Self::Tool(source) => Some(source),
            Self::Ingest(source) => Some(source),
            Self::Model(source) => Some(source),
            Self::PlantRead(source) => Some(source),
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::TenantLimit { .. }
            | Self::Invalid(_)
            | Self::ConversationBusy
            | Self::StaleVersion
            | Self::DefinitionChanged { .. }
            | Self::BudgetExceeded { .. }
            | Self::AboveClearance
            | Self::ModelNotFound
            | Self::AboveModelClassification
            | Self::PersonalData { .. }
            | Self::Busy
            | Self::ToolNotUsed { .. }
            | Self::AttemptsExhausted
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
            Self::Conflict { .. }
            | Self::TenantLimit { .. }
            | Self::ConversationBusy
            | Self::StaleVersion
            | Self::AttemptsExhausted
            | Self::DefinitionChanged { .. } => ErrorKind::Conflict,
            Self::BudgetExceeded { .. } => ErrorKind::RateLimited,
            Self::AboveClearance | Self::AboveModelClassification => ErrorKind::Forbidden,
            Self::Invalid(_) | Self::PersonalData { .. } => ErrorKind::InvalidField,
            Self::Busy | Self::TimeLimit | Self::ToolNotUsed { .. } | Self::RandomSourceError(_) => {
                ErrorKind::Unavailable
            }
            other => other.classified_source().map_or(ErrorKind::Internal, Classify::kind),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ConversationBusy => "conversation_busy",
            Self::StaleVersion => "stale_version",
            Self::DefinitionChanged { .. } => "definition_changed",
            Self::BudgetExceeded { .. } => "quota_exceeded",
            Self::AboveClearance => "above_clearance",
            Self::ModelNotFound => "model_not_found",
            Self::AboveModelClassification => "model_classification",
            Self::PersonalData { .. } => "pii_blocked",
            Self::TimeLimit => "upstream_timeout",
            Self::ToolNotUsed { .. } => "tool_not_used",
            Self::AttemptsExhausted => "attempts_exhausted",
            other => other.classified_source().map_or_else(|| other.kind().code(), Classify::code),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Conflict { detail } => Some((*detail).to_owned()),
            Self::TenantLimit { resources, max } => {
                Some(format!("The tenant has {max} {resources}; delete one first."))
            }
            Self::ConversationBusy => {
                Some("An answer is being written in this conversation; wait for its end, or cancel it.".to_owned())
            }
            Self::StaleVersion => Some("The resource was changed since you read it; read it again.".to_owned()),
            Self::DefinitionChanged { tool } => Some(format!(
                "The tool {tool} has another definition than the one whose digest you sent; read the server again and \
                 decide on what it shows."
            )),
            Self::BudgetExceeded { limit, .. } => Some(budget_detail(*limit)),
            Self::AboveClearance => Some("The answer is based on content above your clearance.".to_owned()),
            Self::ModelNotFound => Some("The model does not exist, or you may not use it.".to_owned()),
            Self::AboveModelClassification => Some(
                "Earlier answers or tool results may be classified above what this model may see; leave them out, or \
                 ask the assistant."
                    .to_owned(),
            ),
            Self::PersonalData { found } => Some(blocked_detail(found)),
            Self::ToolNotUsed { tool } => {
                Some(format!("The agent answered without its tool {tool}, so that its answer does not count."))
            }
            Self::AttemptsExhausted => Some("The step was tried as often as it may be; make a new goal.".to_owned()),
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

fn is_transient_model_error(error: &ModelError) -> bool {
    match error {
        ModelError::Unavailable { .. }
        | ModelError::NoBackendAvailable { .. }
        | ModelError::Timeout { .. }
        | ModelError::Interrupted { .. } => true,
        ModelError::Exhausted { last, .. } => is_transient_model_error(last),
        _ => false,
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
