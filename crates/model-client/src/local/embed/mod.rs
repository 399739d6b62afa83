//! Text embeddings in process: all-MiniLM-L6-v2 on candle, on threads of its own.
//!
//! Why not on tokio's threads: a sequence keeps a core busy for tens of milliseconds, and a token stream that waits
//! behind it stutters. Why two groups of threads: a question must not wait behind a document that is being ingested.
//! Why no batching: sequences of unequal length in one batch are padded to the longest, which is wasted arithmetic;
//! one sequence at a time, each on its own thread, keeps every core as busy.
//!
//! The model has 384 dimensions, reads English and at most 256 tokens (its card: longer input is cut).

mod bert;
mod error;
mod kernels;
mod lane;
mod ops;
mod port;
mod tokens;
mod weights;

use std::{path::Path, sync::Arc};

use bert::Bert;
use domain::model::EmbedPurpose;
pub use error::EmbedError;
use lane::{Lane, Niceness};
use tokens::Tokens;

/// The model's name, as stored with each vector.
pub const MODEL_NAME: &str = "all-MiniLM-L6-v2";

/// The embedded embedding model with its threads.
///
/// Dropping it ends the threads; each finishes at most the one text it is busy with (about 50 ms), and the drop waits for it.
pub struct LocalEmbedder {
    tokens: Arc<Tokens>,
    queries: Lane,
    documents: Lane,
}

impl LocalEmbedder {
    /// Loads the model from `model_dir`, which holds the `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2,
    /// and starts `threads` threads (at least one) for each [`EmbedPurpose`].
    ///
    /// Reads 90 MB and takes a fraction of a second: call it at start-up, not on a request.
    ///
    /// # Errors
    /// A file that is absent, or that is not the one whose SHA-256 this crate pins: the vectors of another model
    /// cannot be compared with stored ones. Also when the system grants no threads.
    pub fn load(model_dir: &Path, threads: usize) -> Result<Self, EmbedError> {
        let tokens = Arc::new(Tokens::load(model_dir)?);
        let model = Arc::new(Bert::load(model_dir)?);
        let (work_tokens, threads) = (Arc::clone(&tokens), threads.max(1));
        let work = Arc::new(move |text: &str| {
            let ids = work_tokens.sequence(text)?;
            model.embed(&ids).map_err(EmbedError::Forward)
        });
        Ok(Self {
            tokens,
            queries: Lane::start("embed-query", threads, Niceness::Normal, work.clone())?,
            documents: Lane::start("embed-doc", threads, Niceness::Background, work)?,
        })
    }

    /// Numbers in a vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        bert::DIMENSION
    }

    /// Tokens of the longest sequence, [CLS] and [SEP] included: a text of more than two less is cut.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        tokens::MAX_TOKENS
    }

    /// How many tokens `text` has, without [CLS] and [SEP] and without the limit. Cheap enough to size chunks with.
    #[must_use]
    pub fn count_tokens(&self, text: &str) -> usize {
        self.tokens.count(text)
    }

    /// One vector of length 1 for each text, in order. A text over [`max_tokens`](Self::max_tokens) is cut there; an
    /// empty one has a vector too.
    ///
    /// Queries and documents have threads of their own: a query never waits behind a document, and on Linux the
    /// documents' threads give way to everything else in the process. Dropping the future drops the texts that no
    /// thread has begun.
    ///
    /// # Errors
    /// [`EmbedError::Panicked`] and the like: defects; no text is refused.
    pub async fn embed(&self, purpose: EmbedPurpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        match purpose {
            EmbedPurpose::Query => self.queries.run(texts).await,
            EmbedPurpose::Document => self.documents.run(texts).await,
        }
    }
}

impl std::fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEmbedder").finish_non_exhaustive()
    }
}
