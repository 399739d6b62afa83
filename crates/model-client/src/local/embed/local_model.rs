//! The common interface of the in-process embedding models.

use super::error::EmbedError;

/// An embedding model that runs in this process, with its tokenizer.
pub(super) trait LocalEmbeddingModel: Send + Sync {
    /// Number of components of a vector.
    fn dimension(&self) -> usize;

    /// Maximum length of a sequence in tokens, including those at its start and end.
    fn max_tokens(&self) -> usize;

    /// Maximum total size of the texts in one batch, in bytes; 0 to embed texts one at a time.
    fn batch_bytes(&self) -> usize;

    /// The tokens of `text`, without those at its start and end and without truncation.
    fn token_ids(&self, text: &str) -> Result<Vec<u32>, EmbedError>;

    /// One vector of length 1 per text.
    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError>;
}
