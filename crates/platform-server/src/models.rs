//! Builds the configured chat, embedding and reranking models.

use crate::config::{self, Settings};
use anyhow::{Context as _, Result};
use async_trait::async_trait;
use domain::model::{ChatRequest, ChatStream, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError};
use domain::ports::{ChatModel, Embedder, Embedders, PrivacyScanner};
use domain::privacy::{PatternCounts, PrivacyRules};
use model_client::cache_salt::CacheSalts;
use model_client::config::ModelSettings;
use model_client::metrics::ModelMetrics;
use model_client::models;
use model_client::privacy::PrivacyMiddleware;
use model_client::router::Router;
use policy::keyed_hash::HashKey;
use prometheus::Registry;
use std::sync::Arc;
use tools::retrieval::{Reranking, RetrievalParams};

/// The models that the platform uses.
pub struct Models {
    /// Model that answers questions.
    pub chat: Arc<dyn ChatModel>,
    /// The current embedding model, and the next one and those of languages if configured.
    pub embedders: Embedders,
    /// Reranking of search results, if configured.
    pub reranking: Option<Reranking>,
    /// How passages are searched and ranked.
    pub retrieval: RetrievalParams,
    /// Applies the tenants' privacy rules to what users write.
    pub privacy: Arc<dyn PrivacyScanner>,
    /// Router to the model backends; `None` for [`Models::unconfigured`].
    pub router: Option<Arc<Router>>,
}

impl Models {
    /// Builds the configured models.
    ///
    /// # Errors
    /// If a setting is not valid, or the embedded model cannot be loaded.
    pub async fn configured(settings: &Settings, metrics: &Registry) -> Result<Self> {
        let candidates = settings.models.rerank_candidates;
        let configured = &settings.models;
        let record_content = settings.telemetry.record_content;
        let secret = settings.secret_key_bytes()?;
        let cache_salts = Some(CacheSalts::new(HashKey::derive(secret, "cache-salt").hash(b"key").as_bytes()));
        let privacy = PrivacyMiddleware::new(HashKey::derive(secret, "privacy").hash(b"key").as_bytes());
        let privacy = privacy.context("the privacy patterns cannot be set up")?;
        let settings = ModelSettings { record_content, cache_salts, ..settings.models.settings()? };
        let router = Router::new(&settings, ModelMetrics::register(metrics)?);
        let router = router.context("the model backends cannot be set up")?;
        let chat = models::chat_model(&router, &settings).context("the chat model cannot be set up")?;
        let loaded = embedders(&router, configured, &settings).await?;
        let reranker = models::reranker(&router, &settings).context("the reranking model cannot be set up")?;
        let embedders = Embedders {
            current: privacy.wrap_embedder(loaded.current),
            next: loaded.next.map(|next| privacy.wrap_embedder(next)),
            by_language: loaded
                .by_language
                .into_iter()
                .map(|(language, model)| (language, privacy.wrap_embedder(model)))
                .collect(),
        };
        Ok(Self {
            chat: privacy.wrap_chat_model(chat),
            embedders,
            reranking: reranker.map(|model| Reranking { model: privacy.wrap_reranker(model), candidates }),
            retrieval: RetrievalParams::default(),
            privacy,
            router: Some(router),
        })
    }

    /// Models that fail every call, for commands that use no model.
    #[must_use]
    pub fn unconfigured() -> Self {
        Self {
            chat: Arc::new(UnconfiguredModel),
            embedders: Embedders::single(Arc::new(UnconfiguredModel)),
            reranking: None,
            retrieval: RetrievalParams::default(),
            privacy: Arc::new(UnconfiguredModel),
            router: None,
        }
    }
}

/// Loads the embedding models. A model that several settings name is loaded once.
async fn embedders(router: &Arc<Router>, configured: &config::Models, settings: &ModelSettings) -> Result<Embedders> {
    let current = models::embedder(router, settings).await.context("the embedding model cannot be set up")?;
    let mut embedders = Embedders::single(current);
    if let Some(next) = configured.next_settings()? {
        let next = models::embedder(router, &next).await;
        embedders.next = Some(next.context("the next embedding model (models.next_embed) cannot be set up")?);
    }
    for (language, settings) in configured.language_settings() {
        let name = settings.embedded_model.vector_name();
        let loaded = embedders.in_use(Some(name)).cloned();
        let embedder = match loaded {
            Some(embedder) => embedder,
            None => models::in_process_embedder(&settings).await.with_context(|| {
                format!("the embedding model of models.language_models.{language} cannot be set up")
            })?,
        };
        embedders.by_language.insert(language, embedder);
    }
    Ok(embedders)
}

/// Fails every call with [`ModelError::NotConfigured`].
struct UnconfiguredModel;

fn not_configured_error() -> ModelError {
    ModelError::NotConfigured { requested: "this command".to_owned() }
}

#[async_trait]
impl ChatModel for UnconfiguredModel {
    async fn stream(&self, _: ChatRequest) -> Result<ChatStream, ModelError> {
        Err(not_configured_error())
    }

    fn is_language_model(&self) -> bool {
        false
    }
}

impl PrivacyScanner for UnconfiguredModel {
    fn count_matches(&self, _: &Arc<PrivacyRules>, _: &str) -> Result<PatternCounts, ModelError> {
        Err(not_configured_error())
    }
}

#[async_trait]
impl Embedder for UnconfiguredModel {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { name: "none".to_owned(), dimension: 0, max_tokens: 0 }
    }

    async fn embed(&self, _: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        Err(not_configured_error())
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.len()
    }
}
