//! What is asked of a model and what it answers, in no provider's words.

pub use crate::chat_options::ChatOptions;
pub use crate::model_tier::{ModelChoice, ModelTier};
pub use crate::served_by::CallUsage;

use crate::classified::{Classified, HasClass};
use crate::error::{Classify, ErrorKind};
use crate::role::Classification;
use crate::search::{Passage, Surroundings};
use crate::served_by::{FailedAttempt, MicroCost, ModelCaller, ServedBy};
use crate::token_usage::{FinishReason, TokenUsage};
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// One message of a prompt.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum PromptMessage {
    /// Instructions of the platform or the client.
    System(String),
    /// The user's words.
    User(String),
    /// The model's earlier words, with the tools it asked for.
    Assistant {
        /// Text that the model wrote before its tool calls.
        content: String,
        /// Tools that it called, in order.
        tool_calls: Vec<ModelToolCall>,
    },
    /// A tool's result: data, never instructions.
    Tool {
        /// The call it answers.
        call_id: String,
        /// The result as text.
        content: String,
    },
}

/// A tool call as the model asked for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: JSON text as the model wrote it, put right where it nearly was, valid or not.
    pub arguments: String,
}

/// A tool offered to the model.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OfferedTool {
    /// Name of the tool, as the model calls it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A passage put before the model, under the number that the answer cites.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedPassage {
    /// Number that the answer cites, from 1.
    pub n: u32,
    /// Passage with its position.
    pub passage: Passage,
    /// How well it matched, 0 to 1.
    pub score: f32,
    /// What stands around it, to read it by; not to be cited.
    pub surroundings: Surroundings,
}

impl HasClass for NumberedPassage {
    fn class(&self) -> Classification {
        self.passage.class()
    }
}

/// What a chat model is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// The class of model.
    pub tier: ModelTier,
    /// The assembled prompt. Its class says which backends may serve it.
    pub prompt: Classified<Vec<PromptMessage>>,
    /// Tools the model may ask for.
    pub tools: Vec<OfferedTool>,
    /// Most output tokens.
    pub max_output_tokens: u32,
    /// The user's question by itself, for the extractive answerer; the prompt has it too.
    pub question: String,
    /// The passages of the prompt by themselves, for the extractive answerer; the prompt has them too.
    pub passages: Vec<NumberedPassage>,
    /// How to write.
    pub options: ChatOptions,
}

/// What a model sends while it answers.
#[derive(Clone, PartialEq, Debug)]
pub enum ChatDelta {
    /// The next piece of what it thinks before it answers: no part of the answer.
    Reasoning(String),
    /// The next piece of text.
    Text(String),
    /// A complete tool call; sent once its pieces are together.
    ToolCall(ModelToolCall),
    /// The end; nothing follows.
    Finished {
        /// What went wrong; never content.
        reason: FinishReason,
        /// Tokens, as reported or estimated.
        usage: TokenUsage,
        /// The server reported no token counts, so that these are estimates.
        estimated: bool,
        /// What it cost: as the server says it, else by the backend's price.
        cost: MicroCost,
    },
}

/// An answer being written.
pub struct ChatStream {
    /// What serves it.
    pub served_by: ServedBy,
    /// The pieces. Dropping the stream ends the request to the model.
    pub deltas: BoxStream<'static, Result<ChatDelta, ModelError>>,
}

/// What an embedding is for; some models want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmbedPurpose {
    /// To find documents: overtakes documents in the queue.
    Query,
    /// To be found.
    Document,
}

/// What an embedding model is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbedRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// Whether the vectors are for a query or for documents.
    pub purpose: EmbedPurpose,
    /// The texts, without prefixes.
    pub texts: Vec<String>,
    /// The highest classification among the texts: the backend must be allowed to see it.
    pub classification: Classification,
}

/// Texts as vectors, and what made them.
#[derive(Clone, PartialEq, Debug)]
pub struct EmbedResponse {
    /// One vector of unit length per text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Backend and model that served the call.
    pub spent: CallUsage,
}

/// Passages as a reranker judges them, and what judged them.
#[derive(Clone, PartialEq, Debug)]
pub struct Reranked {
    /// How well each passage answers the query, 0 to 1, in the order of the passages.
    pub scores: Vec<f32>,
    /// Backend and model that served the call.
    pub spent: CallUsage,
}

/// The embedding model in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbeddingModel {
    /// Its name, as stored with each vector.
    pub name: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Most tokens it reads of one text, special ones included.
    pub max_tokens: usize,
}

/// What a reranker is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RerankRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// Question that the passages are judged by.
    pub query: String,
    /// The texts to judge.
    pub passages: Vec<String>,
    /// The highest classification among the texts: the backend must be allowed to see it.
    pub classification: Classification,
}

/// Why a model did not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ModelError {
    /// No connection, or the server is at its limit or broken.
    #[error("model backend {backend} is not available: {reason}")]
    Unavailable {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
        /// When the server says to come back.
        retry_after: Option<Duration>,
    },
    /// Nothing arrived within the time limit.
    #[error("model backend {backend} sent nothing for {waited_s} s")]
    Timeout {
        /// Name of the backend in the configuration.
        backend: String,
        /// Seconds until the call was given up.
        waited_s: u64,
    },
    /// The stream ended before the answer was complete.
    #[error("model backend {backend} broke off: {reason}")]
    Interrupted {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
    },
    /// The response cannot be parsed.
    #[error("model backend {backend} sent an answer that cannot be understood: {reason}")]
    InvalidResponse {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
    },
    /// The server refuses every request of this kind: the key, the model, or what it is paid from. Another one may not.
    #[error("model backend {backend} cannot be used: {reason}")]
    Misconfigured {
        /// Name of the backend in the configuration.
        backend: String,
        /// The server's reason, shortened, without content.
        reason: String,
    },
    /// The server refuses this request.
    #[error("model backend {backend} refused the request: {reason}")]
    Refused {
        /// Name of the backend in the configuration.
        backend: String,
        /// The server's reason, shortened, without content.
        reason: String,
    },
    /// The prompt is longer than the model reads.
    #[error("the prompt is longer than model backend {backend} reads")]
    ContextTooLong {
        /// Name of the backend in the configuration.
        backend: String,
    },
    /// The server's content filter refuses the prompt. No other backend is asked: that would be a way around it.
    #[error("the content filter of model backend {backend} refused the prompt")]
    Filtered {
        /// Name of the backend in the configuration.
        backend: String,
    },
    /// Several backends were tried, and none served.
    #[error("{} model backends were tried, the last one failed", tried.len())]
    Exhausted {
        /// All of them, in this order.
        tried: Vec<FailedAttempt>,
        /// What the last one said.
        #[source]
        last: Box<Self>,
    },
    /// No backend is configured for this tier and classification.
    #[error("no model backend is configured for {wanted}")]
    NotConfigured {
        /// What was wanted.
        wanted: String,
    },
}

impl ModelError {
    /// The backend that failed, or the last of those; empty where none was asked.
    #[must_use]
    pub fn backend(&self) -> &str {
        match self {
            Self::Unavailable { backend, .. }
            | Self::Timeout { backend, .. }
            | Self::Interrupted { backend, .. }
            | Self::InvalidResponse { backend, .. }
            | Self::Misconfigured { backend, .. }
            | Self::Refused { backend, .. }
            | Self::Filtered { backend }
            | Self::ContextTooLong { backend } => backend,
            Self::Exhausted { last, .. } => last.backend(),
            Self::NotConfigured { .. } => "",
        }
    }

    /// One of a closed set of codes, for metrics, spans and the ledger (`error.type`).
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted { .. } => "broken_off",
            Self::InvalidResponse { .. } => "garbled",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Refused { .. } => "refused",
            Self::Filtered { .. } => "content_filter",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Exhausted { last, .. } => last.error_type(),
            Self::NotConfigured { .. } => "not_configured",
        }
    }

    /// The backends that were tried before the one that failed last.
    #[must_use]
    pub fn failed_before(&self) -> &[FailedAttempt] {
        match self {
            Self::Exhausted { tried, .. } => tried.split_last().map_or(&[], |(_, before)| before),
            _ => &[],
        }
    }
}

impl Classify for ModelError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ContextTooLong { .. } => ErrorKind::TooLarge,
            Self::Filtered { .. } => ErrorKind::InvalidField,
            Self::Exhausted { last, .. } => last.kind(),
            _ => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Timeout { .. } => "upstream_timeout",
            Self::Filtered { .. } => "content_filter",
            Self::Exhausted { last, .. } => last.code(),
            _ => "model_unavailable",
        }
    }

    fn public_detail(&self) -> Option<String> {
        Some(
            match self {
                Self::Exhausted { last, .. } => return last.public_detail(),
                Self::Filtered { .. } => "The content filter of the language model refused the question.",
                Self::ContextTooLong { .. } => "The conversation is longer than the model reads; start a new one.",
                Self::Timeout { .. } => "The language model did not answer in time.",
                Self::Interrupted { .. } => "The language model broke off; what it wrote so far is kept.",
                _ => "The language model is not available at the moment.",
            }
            .to_owned(),
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(retry_after.unwrap_or(Duration::from_secs(5))),
            Self::ContextTooLong { .. } | Self::Filtered { .. } => None,
            Self::Exhausted { last, .. } => last.retry_after(),
            _ => Some(Duration::from_secs(5)),
        }
    }
}
