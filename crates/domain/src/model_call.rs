//! Records of model calls: who served them, how many tokens they used, how long they took, and what they cost.

pub use crate::served_by::{FailedAttempt, MicroCost, ModelCaller, Price, ServedBy};

use crate::model::ModelError;
use crate::role::string_enum;
use crate::served_by::CallUsage;
use crate::token_usage::{FinishReason, TokenUsage};
use std::time::Duration;

string_enum! {
    /// Kind of model call, named as in the OpenTelemetry GenAI conventions (`gen_ai.operation.name`), which define no
    /// name for reranking.
    ModelOperation {
        /// A chat completion.
        Chat = "chat",
        /// Embedding of texts.
        Embeddings = "embeddings",
        /// Reranking of passages.
        Rerank = "rerank",
    }
}

string_enum! {
    /// How a call ended.
    CallStatus {
        /// The model answered.
        Ok = "ok",
        /// The call failed; there may be a partial answer.
        Error = "error",
        /// The caller disconnected or cancelled the call.
        Cancelled = "cancelled",
    }
}

/// A model call, as stored in the ledger. It contains neither prompt nor answer.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelCall {
    /// Kind of call.
    pub operation: ModelOperation,
    /// Backend and model that served the call, or were tried last.
    pub served_by: ServedBy,
    /// How it ended.
    pub status: CallStatus,
    /// Error code (`error.type`), one of a closed set; `None` if the call succeeded.
    pub error: Option<String>,
    /// Why generation ended, for chat calls.
    pub finish_reason: Option<FinishReason>,
    /// Input and output tokens.
    pub usage: TokenUsage,
    /// Whether the token counts are estimates, because the server reported none.
    pub tokens_estimated: bool,
    /// Cost, computed from the backend's price or, if none is configured, as reported by the server.
    pub cost: MicroCost,
    /// Duration of the call.
    pub duration: Duration,
    /// Time to the first piece of a streamed answer.
    pub time_to_first_token: Option<Duration>,
}

impl ModelCall {
    /// A successful call that was not streamed.
    #[must_use]
    pub fn succeeded(operation: ModelOperation, usage: &CallUsage, duration: Duration) -> Self {
        Self {
            served_by: usage.served_by.clone(),
            usage: usage.token_usage,
            tokens_estimated: usage.tokens_estimated,
            cost: usage.cost,
            ..Self::new(operation, CallStatus::Ok, duration)
        }
    }

    /// A call that failed.
    #[must_use]
    pub fn failed(operation: ModelOperation, error: &ModelError, duration: Duration) -> Self {
        let (backend, failed_attempts) = (error.backend().to_owned(), error.earlier_attempts().to_vec());
        Self {
            served_by: ServedBy { backend, failed_attempts, ..ServedBy::default() },
            error: Some(error.error_type().to_owned()),
            ..Self::new(operation, CallStatus::Error, duration)
        }
    }

    /// A call that was cancelled before the first piece of an answer.
    #[must_use]
    pub fn cancelled(operation: ModelOperation, duration: Duration) -> Self {
        Self::new(operation, CallStatus::Cancelled, duration)
    }

    fn new(operation: ModelOperation, status: CallStatus, duration: Duration) -> Self {
        Self {
            operation,
            served_by: ServedBy::default(),
            status,
            error: None,
            finish_reason: None,
            usage: TokenUsage::default(),
            tokens_estimated: false,
            cost: MicroCost::default(),
            duration,
            time_to_first_token: None,
        }
    }
}
