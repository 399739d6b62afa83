//! Selects the implementation of each model port: configured backends or models that run in this process.

use crate::config::{EmbedSource, EmbeddingSettings, ModelSettings};
use crate::error::SetupError;
use crate::local::embed::LocalEmbedder;
use crate::local::extract::ExtractiveAnswerer;
use crate::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker};
use crate::router::Router;
use domain::ports::{ChatModel, Embedder, Reranker};
use std::sync::Arc;

/// Returns the chat model: the backends if a chat tier has routes, otherwise the extractive answerer.
///
/// # Errors
/// If a tier refers to an unknown backend. Does not contact the backends.
pub fn chat_model(router: &Arc<Router>, settings: &ModelSettings) -> Result<Arc<dyn ChatModel>, SetupError> {
    let tiers = &settings.tiers;
    if tiers.fast.is_empty() && tiers.heavy.is_empty() {
        return Ok(Arc::new(ExtractiveAnswerer));
    }
    Ok(Arc::new(OpenAiChat::new(router, settings)?))
}

/// Returns the embedding model: `embedding.source` if set, otherwise the backends if the tier has routes, otherwise the
/// in-process model.
///
/// Requests one vector from a backend to learn the dimension, unless it is configured. If no backend answers, that is
/// logged and startup continues; the dimension is then 0 until the first vector arrives.
///
/// # Errors
/// If embeddings are remote but the tier has no routes, or if the in-process model cannot be loaded.
pub async fn embedder(router: &Arc<Router>, settings: &ModelSettings) -> Result<Arc<dyn Embedder>, SetupError> {
    let default_source = if settings.tiers.embed.is_empty() { EmbedSource::InProcess } else { EmbedSource::Remote };
    match settings.embedding.source.unwrap_or(default_source) {
        EmbedSource::Remote => Ok(Arc::new(OpenAiEmbedder::connect(router, settings).await?)),
        EmbedSource::InProcess => in_process_embedder(&settings.embedding).await,
    }
}

/// Returns the model `embedding.embedded_model`, which runs in this process.
///
/// # Errors
/// If its files in `embedding.embedded_dir` are missing or not the expected ones, or its threads cannot be started.
pub async fn in_process_embedder(settings: &EmbeddingSettings) -> Result<Arc<dyn Embedder>, SetupError> {
    let (model, dir, threads) = (settings.embedded_model, settings.embedded_dir.clone(), settings.threads);
    // Reads up to 90 MB from disk, so it must not block a thread of the async runtime.
    let load_task = tokio::task::spawn_blocking(move || LocalEmbedder::load(model, &dir, threads));
    let embedder = load_task.await.map_err(SetupError::LoadTaskFailed)?.map_err(SetupError::LoadLocalModel)?;
    Ok(Arc::new(embedder))
}

/// Returns the reranker of the backends; `None` if the tier has no routes, because there is no in-process reranker.
///
/// # Errors
/// If the tier refers to an unknown backend. Does not contact the backends.
pub fn reranker(router: &Arc<Router>, settings: &ModelSettings) -> Result<Option<Arc<dyn Reranker>>, SetupError> {
    Ok(OpenAiReranker::new(router, settings)?.map(|reranker| Arc::new(reranker) as Arc<dyn Reranker>))
}
