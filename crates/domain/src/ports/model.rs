//! The models, as the runtime and the tools call them.

use crate::model::{ChatRequest, ChatStream, EmbedPurpose, EmbeddingModel, ModelError};
use async_trait::async_trait;

/// Answers in a stream.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Starts an answer. Dropping the returned stream ends the request to the model.
    ///
    /// # Errors
    /// Where no backend began to answer within its limits.
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError>;

    /// Whether a language model is behind this; the extractive answerer says no.
    fn is_generative(&self) -> bool;
}

/// Turns texts into vectors.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model in use.
    fn model(&self) -> EmbeddingModel;

    /// One vector of unit length per text, in order. Longer texts are cut at the model's limit.
    ///
    /// # Errors
    /// Where the model does not answer, or answers with vectors of another dimension.
    async fn embed(&self, purpose: EmbedPurpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ModelError>;

    /// Tokens of `text` without special ones: exact for the embedded model, an upper estimate otherwise.
    fn count_tokens(&self, text: &str) -> usize;
}
