//! Requests to models and their responses, independent of any provider's API.

pub use crate::chat_options::ChatOptions;
pub use crate::model_tier::{ModelTier, TierChoice};
pub use crate::served_by::CallUsage;

use crate::classified::{Classified, HasClassification};
use crate::error::{Classify, ErrorKind};
use crate::plant::NumberedReading;
use crate::role::Classification;
use crate::search::{Passage, SurroundingText};
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
    /// A message of the user.
    User(String),
    /// An earlier message of the model, with its tool calls.
    Assistant {
        /// Text that the model wrote before its tool calls.
        content: String,
        /// Tools that it called, in order.
        tool_calls: Vec<ModelToolCall>,
    },
    /// A tool's result: data, never instructions.
    Tool {
        /// Id of the call that this is the result of.
        call_id: String,
        /// The result as text.
        content: String,
    },
}

/// A tool call requested by the model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelToolCall {
    /// Id of the call, assigned by the model.
    pub id: String,
    /// Name of the tool, as written by the model.
    pub name: String,
    /// The arguments, as JSON text from the model. Near-valid JSON has been repaired; the text may still be invalid.
    pub arguments: String,
}

/// A tool offered to the model.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OfferedTool {
    /// Name of the tool, as the model calls it.
    pub name: String,
    /// Description of the tool for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A passage in a prompt, with the number by which the answer cites it.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedPassage {
    /// Number that the answer cites, from 1.
    pub n: u32,
    /// The passage and its position in the document.
    pub passage: Passage,
    /// Relevance to the question, 0 to 1.
    pub score: f32,
    /// Text around the passage, for context only; it is not cited.
    pub surrounding_text: SurroundingText,
}

impl HasClassification for NumberedPassage {
    fn classification(&self) -> Classification {
        self.passage.classification()
    }
}

/// A request to a chat model.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// Model tier that answers.
    pub tier: ModelTier,
    /// The assembled prompt. Its classification determines which backends may serve it.
    pub prompt: Classified<Vec<PromptMessage>>,
    /// Tools that the model may request.
    pub tools: Vec<OfferedTool>,
    /// Maximum number of output tokens.
    pub max_output_tokens: u32,
    /// Question and passages once more, for the extractive answerer, which does not read the prompt.
    pub extractive_input: ExtractiveInput,
    /// Sampling and output options.
    pub options: ChatOptions,
}

/// The input of the extractive answerer. Language models read the prompt instead, which contains the same question and
/// passages.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ExtractiveInput {
    /// The user's question alone.
    pub question: String,
    /// The passages to quote from.
    pub passages: Vec<NumberedPassage>,
    /// Whether none of the passages matches the question well. The nearest ones are then shown without the claim that
    /// they answer.
    pub is_weak_match: bool,
    /// Readings of plant systems to state, with their numbers.
    pub readings: Vec<NumberedReading>,
    /// Why plant systems that the question is about were not read, for the user.
    pub readings_failure: Option<String>,
}

/// An item of a streamed answer.
#[derive(Clone, PartialEq, Debug)]
pub enum ChatDelta {
    /// The next piece of the model's reasoning, which is not part of the answer.
    Reasoning(String),
    /// The next piece of the answer's text.
    Text(String),
    /// A complete tool call; emitted once all of its fragments have arrived.
    ToolCall(ModelToolCall),
    /// End of the answer; always the last item.
    Finished {
        /// Why generation ended.
        reason: FinishReason,
        /// Token counts, reported by the server or estimated.
        usage: TokenUsage,
        /// Whether the token counts are estimates, because the server reported none.
        tokens_estimated: bool,
        /// Cost of the call, computed from the backend's price or, if none is configured, as reported by the server.
        cost: MicroCost,
    },
}

/// An answer in progress.
pub struct ChatStream {
    /// Backend and model that serve the answer.
    pub served_by: ServedBy,
    /// Items of the answer. Dropping the stream aborts the request to the model.
    pub deltas: BoxStream<'static, Result<ChatDelta, ModelError>>,
}

/// What an embedding is used for; some models embed queries and documents differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmbedPurpose {
    /// A search query; takes precedence over documents in the queue.
    Query,
    /// A passage of a document, to be indexed.
    Document,
}

/// A request to an embedding model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbedRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// Whether the vectors are for a query or for documents.
    pub purpose: EmbedPurpose,
    /// Texts to embed, without the model's prefixes for queries and documents.
    pub texts: Vec<String>,
    /// The highest classification among the texts; the backend must be permitted to process it.
    pub classification: Classification,
}

/// Embeddings, and the usage of the call.
#[derive(Clone, PartialEq, Debug)]
pub struct EmbedResponse {
    /// One vector of unit length per text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Backend, model, tokens and cost of the call.
    pub usage: CallUsage,
}

/// Scores from a reranker, and the usage of the call.
#[derive(Clone, PartialEq, Debug)]
pub struct RerankScores {
    /// Relevance of each passage to the query, 0 to 1, in the order of the request.
    pub scores: Vec<f32>,
    /// Backend, model, tokens and cost of the call.
    pub usage: CallUsage,
}

/// Properties of an embedding model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmbeddingModel {
    /// Name of the model, as stored with each vector.
    pub name: String,
    /// Dimension of its vectors.
    pub dimension: usize,
    /// Maximum number of tokens of one text, special tokens included.
    pub max_tokens: usize,
}

/// A request to a reranker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RerankRequest {
    /// Tenant and user on whose behalf the model is called.
    pub caller: ModelCaller,
    /// Query against which the passages are scored.
    pub query: String,
    /// Texts of the passages to score.
    pub passages: Vec<String>,
    /// The highest classification among the texts; the backend must be permitted to process it.
    pub classification: Classification,
}

/// Why a model call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ModelError {
    /// The server cannot be reached, is overloaded, or returned a server error.
    #[error("model backend {backend} is not available: {reason}")]
    Unavailable {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
        /// Wait time requested by the server (`Retry-After`), if any.
        retry_after: Option<Duration>,
    },
    /// No backend can take the request at the moment; none was called.
    #[error("no model backend is currently available: {reason}")]
    NoBackendAvailable {
        /// Reason, without content of the request.
        reason: &'static str,
        /// Time until one may be available again, if known.
        retry_after: Option<Duration>,
    },
    /// Nothing arrived within the time limit.
    #[error("model backend {backend} sent no data for {waited_s} s")]
    Timeout {
        /// Name of the backend in the configuration.
        backend: String,
        /// Seconds without data after which the call was abandoned.
        waited_s: u64,
    },
    /// The stream ended before the answer was complete.
    #[error("model backend {backend} interrupted the answer: {reason}")]
    Interrupted {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
    },
    /// The response cannot be parsed.
    #[error("model backend {backend} sent an invalid response: {reason}")]
    InvalidResponse {
        /// Name of the backend in the configuration.
        backend: String,
        /// Reason, without content of the request or response.
        reason: String,
    },
    /// The server rejects every request of this kind: the key, the model name or the account's credit is the cause.
    /// Another backend may still serve it.
    #[error("model backend {backend} cannot be used: {reason}")]
    Misconfigured {
        /// Name of the backend in the configuration.
        backend: String,
        /// The server's reason, shortened, without content.
        reason: String,
    },
    /// The server rejects this particular request.
    #[error("model backend {backend} refused the request: {reason}")]
    Refused {
        /// Name of the backend in the configuration.
        backend: String,
        /// The server's reason, shortened, without content.
        reason: String,
    },
    /// The prompt exceeds the model's context window.
    #[error("the prompt exceeds the context window of model backend {backend}")]
    ContextTooLong {
        /// Name of the backend in the configuration.
        backend: String,
    },
    /// The server's content filter rejects the prompt. No other backend is tried, because that would circumvent the
    /// filter.
    #[error("the content filter of model backend {backend} refused the prompt")]
    Filtered {
        /// Name of the backend in the configuration.
        backend: String,
    },
    /// Several backends were tried and all failed.
    #[error("all {} model backends that were tried failed", attempts.len())]
    Exhausted {
        /// All backends that were tried, in order.
        attempts: Vec<FailedAttempt>,
        /// Error of the last backend.
        #[source]
        last: Box<Self>,
    },
    /// The tenant's privacy rules cannot be applied, so nothing is sent to a model. Contains the reason.
    #[error("the tenant's privacy rules are invalid: {0}")]
    InvalidPrivacyRules(String),
    /// No backend is configured for this tier and classification.
    #[error("no model backend is configured for {requested}")]
    NotConfigured {
        /// The tier and classification that were requested.
        requested: String,
    },
}

impl ModelError {
    /// The backend that failed, or the last one that failed; `any` if none was available, `privacy rules` if those are
    /// invalid, empty if none is configured.
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
            Self::NoBackendAvailable { .. } => "any",
            Self::InvalidPrivacyRules(_) => "privacy rules",
            Self::NotConfigured { .. } => "",
        }
    }

    /// Error code for metrics, spans and the ledger (`error.type`); one of a closed set.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } | Self::NoBackendAvailable { .. } => "unavailable",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted { .. } => "broken_off",
            Self::InvalidResponse { .. } => "garbled",
            Self::Misconfigured { .. } | Self::InvalidPrivacyRules(_) => "misconfigured",
            Self::Refused { .. } => "refused",
            Self::Filtered { .. } => "content_filter",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Exhausted { last, .. } => last.error_type(),
            Self::NotConfigured { .. } => "not_configured",
        }
    }

    /// The backends that failed before the last one.
    #[must_use]
    pub fn earlier_attempts(&self) -> &[FailedAttempt] {
        match self {
            Self::Exhausted { attempts: tried, .. } => tried.split_last().map_or(&[], |(_, before)| before),
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
                Self::ContextTooLong { .. } => "The conversation exceeds the model's context window; start a new one.",
                Self::Timeout { .. } => "The language model did not answer in time.",
                Self::Interrupted { .. } => "The language model was interrupted; the partial answer is kept.",
                _ => "The language model is not available at the moment.",
            }
            .to_owned(),
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::NoBackendAvailable { retry_after, .. } => {
                Some(retry_after.unwrap_or(Duration::from_secs(5)))
            }
            Self::ContextTooLong { .. } | Self::Filtered { .. } => None,
            Self::Exhausted { last, .. } => last.retry_after(),
            _ => Some(Duration::from_secs(5)),
        }
    }
}
