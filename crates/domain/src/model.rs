//! What is asked of a model and what it answers, in no provider's words.

use crate::error::{Classify, ErrorKind};
use crate::role::{Classification, words};
use crate::run::{FinishReason, Usage};
use crate::search::{Passage, Surroundings};
use futures::stream::BoxStream;
use serde_json::Value;
use std::time::Duration;

words! {
    /// Which class of model answers.
    ModelTier {
        /// Everyday answers.
        Fast = "fast",
        /// Hard ones.
        Heavy = "heavy",
    }
}

/// One message of a prompt.
#[derive(Clone, PartialEq, Debug)]
pub enum PromptMessage {
    /// Instructions.
    System(String),
    /// The user's words.
    User(String),
    /// The model's earlier words, with the tools it asked for.
    Assistant {
        /// The words.
        content: String,
        /// The calls.
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: JSON text as the model wrote it, valid or not.
    pub arguments: String,
}

/// A tool offered to the model.
#[derive(Clone, PartialEq, Debug)]
pub struct OfferedTool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A passage put before the model, under the number that the answer cites.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedPassage {
    /// The number, from 1.
    pub n: u32,
    /// The passage.
    pub passage: Passage,
    /// How well it matched, 0 to 1.
    pub score: f32,
    /// What stands around it, to read it by; not to be cited.
    pub surroundings: Surroundings,
}

/// What a chat model is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatRequest {
    /// The class of model.
    pub tier: ModelTier,
    /// The assembled prompt.
    pub messages: Vec<PromptMessage>,
    /// Tools the model may ask for.
    pub tools: Vec<OfferedTool>,
    /// Most output tokens.
    pub max_output_tokens: u32,
    /// The user's question by itself, for the extractive answerer; the prompt has it too.
    pub question: String,
    /// The passages of the prompt by themselves, for the extractive answerer; the prompt has them too.
    pub passages: Vec<NumberedPassage>,
    /// The highest classification of the content: the backend must be allowed to see it.
    pub classification: Classification,
}

/// What a model sends while it answers.
#[derive(Clone, PartialEq, Debug)]
pub enum ChatDelta {
    /// The next piece of text.
    Text(String),
    /// A complete tool call; sent once its pieces are together.
    ToolCall(ModelToolCall),
    /// The end; nothing follows.
    Finished {
        /// Why.
        reason: FinishReason,
        /// Tokens, as reported or counted.
        usage: Usage,
    },
}

/// What served a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedBy {
    /// The backend's name in the configuration.
    pub backend: String,
    /// The model as the server names it.
    pub model: String,
    /// A later choice than the first served.
    pub fallback: bool,
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
    /// The question.
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
        /// The backend.
        backend: String,
        /// What happened; no content.
        reason: String,
        /// When the server says to come back.
        retry_after: Option<Duration>,
    },
    /// Nothing came within the limit.
    #[error("model backend {backend} sent nothing for {waited_s} s")]
    Timeout {
        /// The backend.
        backend: String,
        /// Seconds waited.
        waited_s: u64,
    },
    /// The stream ended before the answer did.
    #[error("model backend {backend} broke off: {reason}")]
    BrokenOff {
        /// The backend.
        backend: String,
        /// What happened; no content.
        reason: String,
    },
    /// What came cannot be understood.
    #[error("model backend {backend} sent an answer that cannot be understood: {reason}")]
    Garbled {
        /// The backend.
        backend: String,
        /// What was wrong; no content.
        reason: String,
    },
    /// The server refuses this request.
    #[error("model backend {backend} refused the request: {reason}")]
    Refused {
        /// The backend.
        backend: String,
        /// What it said, shortened; no content.
        reason: String,
    },
    /// The prompt is longer than the model reads.
    #[error("the prompt is longer than model backend {backend} reads")]
    ContextTooLong {
        /// The backend.
        backend: String,
    },
    /// No backend is configured for this tier and classification.
    #[error("no model backend is configured for {wanted}")]
    NotConfigured {
        /// What was wanted.
        wanted: String,
    },
}

impl Classify for ModelError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ContextTooLong { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ContextTooLong { .. } => "context_too_long",
            Self::Timeout { .. } => "upstream_timeout",
            _ => "model_unavailable",
        }
    }

    fn public_detail(&self) -> Option<String> {
        Some(
            match self {
                Self::ContextTooLong { .. } => "The conversation is longer than the model reads; start a new one.",
                Self::Timeout { .. } => "The language model did not answer in time.",
                Self::BrokenOff { .. } => "The language model broke off; what it wrote so far is kept.",
                _ => "The language model is not available at the moment.",
            }
            .to_owned(),
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(retry_after.unwrap_or(Duration::from_secs(5))),
            Self::ContextTooLong { .. } => None,
            _ => Some(Duration::from_secs(5)),
        }
    }
}
