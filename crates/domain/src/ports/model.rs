//! Ports to the models: chat, embedding and reranking.

use crate::backend_health::BackendHealth;
use crate::model::{
    ChatRequest, ChatStream, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError, ModelTier, RerankRequest,
    RerankScores,
};
use crate::model_call::{ModelCaller, Price};
use crate::role::Classification;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A chat model with streamed answers.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Starts an answer. Dropping the returned stream ends the request to the model.
    ///
    /// # Errors
    /// If no backend starts to answer within its time limit.
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError>;

    /// Whether a language model writes the answers; `false` for the extractive answerer.
    fn is_language_model(&self) -> bool;

    /// The highest classification that any backend of this tier may process for this caller; requests above it are
    /// rejected.
    fn max_input_classification(&self, _tier: ModelTier, _caller: &ModelCaller) -> Classification {
        Classification::Restricted
    }

    /// The highest price among the backends that may serve this tier for this caller; a turn uses it to reserve cost.
    /// `None` if the price is not known in advance; then a turn reserves no cost, and concurrent turns can together
    /// exceed a cost budget.
    fn highest_price(&self, _tier: ModelTier, _caller: &ModelCaller) -> Option<Price> {
        None
    }

    /// The backends that serve models, with their health; empty if no model server is configured.
    fn backends(&self) -> Vec<BackendHealth> {
        Vec::new()
    }

    /// Whether a backend is configured for this tier.
    fn is_configured(&self, _tier: ModelTier) -> bool {
        true
    }

    /// The tokenizer for prompts to this tier. If backends with different tokenizers may serve it, the highest count is
    /// used. `None` if the tokenizer of one of them is not known.
    fn tokenizer(&self, _tier: ModelTier, _caller: &ModelCaller) -> Option<Arc<dyn Tokenizer>> {
        None
    }
}

/// Counts tokens as a language model does.
pub trait Tokenizer: Send + Sync {
    /// Number of tokens of `text`, without special tokens.
    fn count(&self, text: &str) -> usize;
}

/// An embedding model.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Name and dimensions of the model.
    fn model(&self) -> EmbeddingModel;

    /// Returns one vector of unit length per text, in order. Texts beyond the model's limit are truncated.
    ///
    /// # Errors
    /// If the model does not answer, or returns vectors of the wrong dimension.
    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError>;

    /// The highest classification of this caller's texts that the model may process; callers must not pass anything
    /// above it.
    fn max_input_classification(&self, _caller: &ModelCaller) -> Classification {
        Classification::Restricted
    }

    /// Number of tokens of `text`, without special tokens: exact for a model in this process, otherwise an upper bound.
    fn count_tokens(&self, text: &str) -> usize;
}

/// A cross-encoder that scores how well passages answer a question. Search works without one.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Reranker: Send + Sync {
    /// Name of the model.
    fn name(&self) -> String;

    /// Scores the passages. Returns a result or an error within its time limit.
    ///
    /// # Errors
    /// If the model does not answer in time, returns an invalid response, or may not process this classification.
    async fn rerank(&self, request: RerankRequest) -> Result<RerankScores, ModelError>;
}

/// The embedding models: the current one, the next one if tenants are being migrated, and those of some languages.
#[derive(Clone)]
pub struct Embedders {
    /// Model of every tenant that has not been migrated yet and whose language has no model of its own.
    pub current: Arc<dyn Embedder>,
    /// Model that reindexing migrates these tenants to.
    pub next: Option<Arc<dyn Embedder>>,
    /// Models for tenants with a certain [`language`](crate::tenant::TenantSettings::language), in lower case.
    pub by_language: BTreeMap<String, Arc<dyn Embedder>>,
}

impl Embedders {
    /// A single model, without a migration.
    #[must_use]
    pub fn single(current: Arc<dyn Embedder>) -> Self {
        Self { current, next: None, by_language: BTreeMap::new() }
    }

    /// All models, the current one first. A model of several languages comes several times.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Embedder>> {
        std::iter::once(&self.current).chain(&self.next).chain(self.by_language.values())
    }

    /// Whether all tenants use the same model.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.next.is_none() && self.by_language.is_empty()
    }

    /// The model that embedded a tenant's searched passages; `None` if there are none, or it is not configured.
    #[must_use]
    pub fn in_use(&self, model_in_use: Option<&str>) -> Option<&Arc<dyn Embedder>> {
        self.all().find(|embedder| model_in_use == Some(&embedder.model().name))
    }

    /// The model for a tenant whose searched passages were embedded by `model_in_use`: that one, because vectors of
    /// different models cannot be compared. Without such passages, the model of its language, else the current one.
    #[must_use]
    pub fn for_tenant(&self, model_in_use: Option<&str>, language: Option<&str>) -> &Arc<dyn Embedder> {
        self.in_use(model_in_use).or_else(|| self.for_language(language)).unwrap_or(&self.current)
    }

    /// The model that reindexing migrates a tenant to: that of its language, else the next one, else the current one.
    #[must_use]
    pub fn target(&self, language: Option<&str>) -> &Arc<dyn Embedder> {
        self.for_language(language).or(self.next.as_ref()).unwrap_or(&self.current)
    }

    fn for_language(&self, language: Option<&str>) -> Option<&Arc<dyn Embedder>> {
        self.by_language.get(&language?.to_lowercase())
    }
}
