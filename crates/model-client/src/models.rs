//! Which implementation serves: the one place that decides between backends and the embedded models.

use crate::config::{EmbedSource, ModelSettings};
use crate::error::SetupError;
use crate::local::embed::LocalEmbedder;
use crate::local::extract::ExtractiveAnswerer;
use crate::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker};
use crate::router::Router;
use domain::ports::{ChatModel, Embedder, Reranker};
use std::sync::Arc;

/// The chat model: the backends where some serve a chat tier, else the extractive answerer.
///
/// # Errors
/// Where a tier names a backend that there is not. Whether the backends answer is not tried.
pub fn chat_model(router: &Arc<Router>, settings: &ModelSettings) -> Result<Arc<dyn ChatModel>, SetupError> {
    let tiers = &settings.tiers;
    if tiers.fast.is_empty() && tiers.heavy.is_empty() {
        return Ok(Arc::new(ExtractiveAnswerer));
    }
    Ok(Arc::new(OpenAiChat::new(router, settings)?))
}

/// The embedding model: the backends where some serve embeddings, else the embedded one; `embedding.source` overrides.
///
/// A backend is asked for the dimension unless the settings say it. One that does not answer is logged and does not hold
/// up the start; the dimension is then 0 until the first vector came.
///
/// # Errors
/// Where the embeddings are to come from a backend and none serves them, or the embedded model cannot be loaded.
pub async fn embedder(router: &Arc<Router>, settings: &ModelSettings) -> Result<Arc<dyn Embedder>, SetupError> {
    let default = if settings.tiers.embed.is_empty() { EmbedSource::Embedded } else { EmbedSource::Remote };
    match settings.embedding.source.unwrap_or(default) {
        EmbedSource::Remote => Ok(Arc::new(OpenAiEmbedder::connect(router, settings).await?)),
        EmbedSource::Embedded => {
            let (dir, threads) = (settings.embedding.embedded_dir.clone(), settings.embedding.threads);
            // Reads 90 MB: not on a thread that streams wait for.
            let loaded = tokio::task::spawn_blocking(move || LocalEmbedder::load(&dir, threads));
            let embedder = loaded.await.map_err(SetupError::Interrupted)?.map_err(SetupError::Embedded)?;
            Ok(Arc::new(embedder))
        }
    }
}

/// The reranker: that of the backends, where some serve the tier. No embedded model reranks.
///
/// # Errors
/// Where the tier names a backend that there is not. Whether the backends answer is not tried.
pub fn reranker(router: &Arc<Router>, settings: &ModelSettings) -> Result<Option<Arc<dyn Reranker>>, SetupError> {
    Ok(OpenAiReranker::new(router, settings)?.map(|reranker| Arc::new(reranker) as Arc<dyn Reranker>))
}
