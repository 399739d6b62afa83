//! In-process text embeddings: all-MiniLM-L6-v2 with candle, on dedicated threads.
//!
//! - Tokio's threads are not used, because a sequence occupies a core for tens of milliseconds, which would delay
//!   streams.
//! - There are two thread pools, so that a query does not wait for a document that is being ingested.
//! - Sequences are not batched, because that would pad them to the longest one and waste work; one sequence per thread
//!   uses the cores equally well.
//!
//! The model produces 384 dimensions and is trained on English; input over 256 tokens is truncated (see its model
//! card).

mod bert;
mod error;
mod kernels;
mod ops;
mod port;
mod tokenizer;
mod weights;
mod worker_pool;

use std::{path::Path, sync::Arc};

use bert::Bert;
use domain::model::EmbedPurpose;
pub use error::EmbedError;
use tokenizer::ModelTokenizer;
use worker_pool::{Niceness, WorkerPool};

/// The model's name, which is stored with each vector.
pub const MODEL_NAME: &str = "all-MiniLM-L6-v2";

/// The in-process embedding model with its threads.
///
/// Dropping it ends the threads; `drop` blocks for at most one text per thread (about 50 ms).
pub struct LocalEmbedder {
    tokenizer: Arc<ModelTokenizer>,
    query_pool: WorkerPool,
    document_pool: WorkerPool,
}

impl LocalEmbedder {
    /// Loads the model from `model_dir`, which holds the `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2,
    /// and starts `threads` threads (at least one) for each [`EmbedPurpose`].
    ///
    /// Reads 90 MB and takes a fraction of a second: call it at startup, not during a request.
    ///
    /// # Errors
    /// If a file is missing or does not have the SHA-256 pinned in this crate (vectors of another model cannot be
    /// compared with stored ones), or if the operating system refuses to start a thread.
    pub fn load(model_dir: &Path, threads: usize) -> Result<Self, EmbedError> {
        let tokenizer = Arc::new(ModelTokenizer::load(model_dir)?);
        let model = Arc::new(Bert::load(model_dir)?);
        let (worker_tokenizer, threads) = (Arc::clone(&tokenizer), threads.max(1));
        let embed_text = Arc::new(move |text: &str| {
            let ids = worker_tokenizer.encode(text)?;
            model.embed(&ids).map_err(EmbedError::Forward)
        });
        Ok(Self {
            tokenizer,
            query_pool: WorkerPool::start("embed-query", threads, Niceness::Normal, embed_text.clone())?,
            document_pool: WorkerPool::start("embed-doc", threads, Niceness::Background, embed_text)?,
        })
    }

    /// Number of components of a vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        bert::DIMENSION
    }

    /// Maximum length of a sequence in tokens, including `[CLS]` and `[SEP]`; a longer text is truncated.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        tokenizer::MAX_TOKENS
    }

    /// Number of tokens of `text`, without `[CLS]` and `[SEP]` and without truncation. Cheap enough to be called many
    /// times during chunking.
    #[must_use]
    pub fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.count(text)
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
