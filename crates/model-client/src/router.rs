//! Which implementation serves: the one place that decides between the server and the embedded models.

use crate::config::{EmbedSource, ModelSettings};
use crate::error::SetupError;
use crate::local::embed::LocalEmbedder;
use crate::local::extract::ExtractiveAnswerer;
use crate::openai::{OpenAiChat, OpenAiEmbedder, OpenAiReranker};
use domain::ports::{ChatModel, Embedder, Reranker};
use std::sync::Arc;

/// The chat model: the server where a base URL is set, else the extractive answerer.
///
/// # Errors
/// Where the server's address is of no use. Whether the server answers is not tried.
pub fn chat_model(settings: &ModelSettings) -> Result<Arc<dyn ChatModel>, SetupError> {
    Ok(match settings.base_url {
        Some(_) => Arc::new(OpenAiChat::new(settings)?),
        None => Arc::new(ExtractiveAnswerer),
    })
}

/// The embedding model: the server where a base URL is set, else the embedded one; `embedding.source` overrides.
///
/// A server is asked for its dimension unless the settings say it. A server that does not answer is logged and does
/// not hold up the start; the dimension is then 0 until the first vector came.
///
/// # Errors
/// Where the server's address is of no use, or the embedded model cannot be loaded.
pub async fn embedder(settings: &ModelSettings) -> Result<Arc<dyn Embedder>, SetupError> {
    let default = if settings.base_url.is_some() { EmbedSource::Remote } else { EmbedSource::Embedded };
    match settings.embedding.source.unwrap_or(default) {
        EmbedSource::Remote => Ok(Arc::new(OpenAiEmbedder::connect(settings).await?)),
        EmbedSource::Embedded => {
            let (dir, threads) = (settings.embedding.embedded_dir.clone(), settings.embedding.threads);
            // Reads 90 MB: not on a thread that streams wait for.
            let loaded = tokio::task::spawn_blocking(move || LocalEmbedder::load(&dir, threads));
            let embedder = loaded.await.map_err(SetupError::Interrupted)?.map_err(SetupError::Embedded)?;
            Ok(Arc::new(embedder))
        }
    }
}

/// The reranker: that of the server, where the settings name one. No embedded model reranks.
///
/// # Errors
/// Where one is named and there is no server, or its address is of no use. Whether the server answers is not tried.
pub fn reranker(settings: &ModelSettings) -> Result<Option<Arc<dyn Reranker>>, SetupError> {
    if settings.rerank.alias.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(OpenAiReranker::new(settings)?)))
}
