//! What is on record of a call to a model: who served it, what it took, and what it cost.

pub use crate::served_by::{FailedAttempt, MicroCost, ModelCaller, Price, ServedBy};

use crate::model::ModelError;
use crate::role::string_enum;
use crate::served_by::CallUsage;
use crate::token_usage::{FinishReason, TokenUsage};
use std::time::Duration;

string_enum! {
    /// What was asked of a model, in the words of the OpenTelemetry GenAI conventions (`gen_ai.operation.name`), which
    /// have none for reranking.
    ModelOperation {
        /// A chat completion.
        Chat = "chat",
        /// To turn texts into vectors.
        Embeddings = "embeddings",
        /// To put passages in order.
        Rerank = "rerank",
    }
}

string_enum! {
    /// How a call ended.
    CallStatus {
        /// With an answer.
        Ok = "ok",
        /// Without one, or with a part of one.
        Error = "error",
        /// The caller went away.
        Cancelled = "cancelled",
    }
}

/// A call to a model, as it stands in the ledger. It holds nothing of what was asked or answered.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelCall {
    /// What was asked for.
    pub operation: ModelOperation,
    /// What served, or was tried last.
    pub served_by: ServedBy,
    /// How it ended.
    pub status: CallStatus,
    /// `error.type`, one of a closed set of codes.
    pub error: Option<String>,
    /// Why an answer ended.
    pub finish_reason: Option<FinishReason>,
    /// Tokens read and written.
    pub usage: TokenUsage,
    /// The server reported no token counts, so that these are estimates.
    pub estimated: bool,
    /// Cost, as the server reports it, else by the price of the backend.
    pub cost: MicroCost,
    /// From the request to its end.
    pub took: Duration,
    /// From the request to the first piece of an answer.
    pub first_token: Option<Duration>,
}

impl ModelCall {
    /// A call that was answered in one piece.
    #[must_use]
    pub fn answered(operation: ModelOperation, spent: &CallUsage, took: Duration) -> Self {
        Self {
            served_by: spent.served_by.clone(),
            usage: spent.usage,
            estimated: spent.estimated,
            cost: spent.cost,
            ..Self::of(operation, CallStatus::Ok, took)
        }
    }

    /// A call that failed.
    #[must_use]
    pub fn failed(operation: ModelOperation, error: &ModelError, took: Duration) -> Self {
        let (backend, failed) = (error.backend().to_owned(), error.failed_before().to_vec());
        Self {
            served_by: ServedBy { backend, failed, ..ServedBy::default() },
            error: Some(error.error_type().to_owned()),
            ..Self::of(operation, CallStatus::Error, took)
        }
    }

    /// A call whose caller went away before the first piece of an answer.
    #[must_use]
    pub fn cancelled(operation: ModelOperation, took: Duration) -> Self {
        Self::of(operation, CallStatus::Cancelled, took)
    }

    fn of(operation: ModelOperation, status: CallStatus, took: Duration) -> Self {
        Self {
            operation,
            served_by: ServedBy::default(),
            status,
            error: None,
            finish_reason: None,
            usage: TokenUsage::default(),
            estimated: false,
            cost: MicroCost::default(),
            took,
            first_token: None,
        }
    }
}
