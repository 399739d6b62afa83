//! Chunk sizes.

/// Chunk sizes, in tokens as counted by the embedding model's tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkParams {
    /// Maximum size of a chunk's content. Must leave room within the model's input limit for the prefix of
    /// [`super::Chunk::embedded_text`]; for example, 220 for an input limit of 256.
    pub max_tokens: usize,
    /// Maximum overlap with the previous chunk, in whole sentences; about a tenth of `max_tokens` is reasonable.
    pub overlap_tokens: usize,
    /// A chunk smaller than this is merged with its neighbor on the same page if both fit into one.
    pub min_tokens: usize,
}

impl Default for ChunkParams {
    fn default() -> Self {
        Self { max_tokens: 220, overlap_tokens: 24, min_tokens: 40 }
    }
}
