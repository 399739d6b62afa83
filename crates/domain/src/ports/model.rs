//! The models, as the runtime and the tools call them.

use crate::model::{
    ChatRequest, ChatStream, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError, ModelTier, RerankRequest,
    Reranked,
};
use crate::model_call::{ModelCaller, Price};
use crate::role::Classification;
use async_trait::async_trait;
use std::sync::Arc;

/// Answers in a stream.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Starts an answer. Dropping the returned stream ends the request to the model.
    ///
    /// # Errors
    /// If no backend starts to answer within its limits.
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError>;

    /// Whether a language model is behind this; the extractive answerer says no.
    fn is_generative(&self) -> bool;

    /// The highest classification that a backend of this tier may see of this caller; requests above are refused.
    fn highest_classification(&self, _tier: ModelTier, _caller: &ModelCaller) -> Classification {
        Classification::Restricted
    }

    /// The most that a backend which may serve this tier for this caller asks for its work: what a turn sets aside of a
    /// budget of cost. `None` where it is not known before a backend has served; then a turn sets no cost aside, and
    /// turns at the same moment can together pass that budget.
    fn highest_price(&self, _tier: ModelTier, _caller: &ModelCaller) -> Option<Price> {
        None
    }

    /// Whether anything serves this tier.
    fn has(&self, _tier: ModelTier) -> bool {
        true
    }
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
    /// If the model does not answer, or answers with vectors of another dimension.
    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError>;

    /// The highest classification of texts of this caller that it may see; what is above is not handed to it.
    fn highest_classification(&self, _caller: &ModelCaller) -> Classification {
        Classification::Restricted
    }

    /// Tokens of `text` without special ones: exact for the embedded model, an upper estimate otherwise.
    fn count_tokens(&self, text: &str) -> usize;
}

/// Judges how well passages answer a question, by reading both together. A search goes on without it.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Reranker: Send + Sync {
    /// The model's name.
    fn name(&self) -> String;

    /// Judges the passages. It answers within its time limit, one way or the other.
    ///
    /// # Errors
    /// If the model does not answer in time, answers with something else, or may not see content of this class.
    async fn rerank(&self, request: RerankRequest) -> Result<Reranked, ModelError>;
}

/// The embedding models: the one in use, and the one that tenants are being moved to, if any.
#[derive(Clone)]
pub struct Embedders {
    /// Of every tenant that was not moved to the next one.
    pub current: Arc<dyn Embedder>,
    /// The one that reindexing embeds with.
    pub next: Option<Arc<dyn Embedder>>,
}

impl Embedders {
    /// One model, and no move to another.
    #[must_use]
    pub fn only(current: Arc<dyn Embedder>) -> Self {
        Self { current, next: None }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Embedder>> {
        std::iter::once(&self.current).chain(&self.next)
    }

    /// The one for a tenant whose passages in use are `in_use`'s: the next model once the tenant was moved to it.
    #[must_use]
    pub fn for_tenant(&self, in_use: Option<&str>) -> &Arc<dyn Embedder> {
        self.next.as_ref().filter(|next| in_use == Some(&next.model().name)).unwrap_or(&self.current)
    }
}
