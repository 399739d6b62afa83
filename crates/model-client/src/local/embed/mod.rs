//! In-process text embeddings on dedicated threads, with candle: all-MiniLM-L6-v2 for English, and the Universal
//! Sentence Encoder multilingual v3 for 16 languages.
//!
//! - Tokio's threads are not used, because a sequence occupies a core for tens of milliseconds, which would delay
//!   streams.
//! - There are two thread pools, so that a query does not wait for a document that is being ingested.
//! - all-MiniLM-L6-v2 reads one sequence at a time, because a batch would be padded to the longest one; one sequence
//!   per thread uses the cores equally well. The other model needs no padding and reads short texts together.

mod bert;
mod error;
mod files;
mod kernels;
mod local_model;
mod minilm;
mod multilingual;
mod ops;
mod port;
mod tokenizer;
mod weights;
mod worker_pool;

use std::{path::Path, sync::Arc};

use crate::config::EmbeddedModel;
use domain::model::EmbedPurpose;
pub use error::EmbedError;
use local_model::LocalEmbeddingModel;
use minilm::MiniLm;
use multilingual::MultilingualModel;
use worker_pool::{Niceness, Work, WorkerPool};

/// An in-process embedding model with its threads.
///
/// Dropping it ends the threads; `drop` blocks for at most one text per thread (about 50 ms).
pub struct LocalEmbedder {
    name: &'static str,
    model: Arc<dyn LocalEmbeddingModel>,
    query_pool: WorkerPool,
    document_pool: WorkerPool,
}

impl LocalEmbedder {
    /// Loads a model from `model_dir`, and starts `threads` threads (at least one) for each [`EmbedPurpose`]. The
    /// directory holds `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2, or `weights.npz` and `sp.model` of
    /// the multilingual model.
    ///
    /// Reads up to 90 MB and takes a fraction of a second: call it at startup, not during a request.
    ///
    /// # Errors
    /// If a file is missing or does not have the SHA-256 pinned in this crate (vectors of another model cannot be
    /// compared with stored ones), or if the operating system refuses to start a thread.
    pub fn load(model: EmbeddedModel, model_dir: &Path, threads: usize) -> Result<Self, EmbedError> {
        let name = model.vector_name();
        let model: Arc<dyn LocalEmbeddingModel> = match model {
            EmbeddedModel::AllMiniLmL6V2 => Arc::new(MiniLm::load(model_dir)?),
            EmbeddedModel::UseMultilingualV3 => Arc::new(MultilingualModel::load(model_dir)?),
        };
        let (worker_model, threads) = (Arc::clone(&model), threads.max(1));
        let embed_texts = Arc::new(move |texts: &[String]| worker_model.embed(texts));
        let work = Work { embed_texts, batch_bytes: model.batch_bytes() };
        Ok(Self {
            name,
            model,
            query_pool: WorkerPool::start("embed-query", threads, Niceness::Normal, &work)?,
            document_pool: WorkerPool::start("embed-doc", threads, Niceness::Background, &work)?,
        })
    }

    /// The model's name, which is stored with each vector.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Number of components of a vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.model.dimension()
    }

    /// Maximum length of a sequence in tokens, including those at its start and end; a longer text is truncated.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.model.max_tokens()
    }

    /// Number of tokens of `text`, without those at its start and end and without truncation. Cheap enough to be called
    /// many times during chunking.
    #[must_use]
    pub fn count_tokens(&self, text: &str) -> usize {
        // Tokenizing does not fail, because every character has a token. If it did, the number of bytes is an upper
        // bound.
        self.token_ids(text).map_or(text.len(), |ids| ids.len())
    }

    /// The ids of the tokens that [`count_tokens`](Self::count_tokens) counts.
    ///
    /// # Errors
    /// Only on internal failures of the tokenizer; no text is rejected.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        self.model.token_ids(text)
    }

    /// Returns one vector of length 1 per text, in order. A text over [`max_tokens`](Self::max_tokens) is truncated; an
    /// empty text also gets a vector.
    ///
    /// Queries and documents have separate threads: a query never waits for a document, and on Linux the document
    /// threads have a lower priority. Dropping the future cancels the texts that no thread has started.
    ///
    /// # Errors
    /// Only on internal failures such as [`EmbedError::Panicked`]; no text is rejected.
    pub async fn embed(&self, purpose: EmbedPurpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        match purpose {
            EmbedPurpose::Query => self.query_pool.embed_all(texts).await,
            EmbedPurpose::Document => self.document_pool.embed_all(texts).await,
        }
    }
}

impl std::fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEmbedder").finish_non_exhaustive()
    }
}
