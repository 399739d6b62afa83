//! The sizes of chunks.

/// Chunk sizes, in tokens of the given counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkParams {
    /// Largest content of a chunk. Leave room for the prefix of [`super::Chunk::embedded_text`] below the input limit
    /// of the model: 220 for a model of 256.
    pub max_tokens: usize,
    /// Largest amount of whole sentences that a chunk repeats from the previous one; about a tenth of the content.
    pub overlap_tokens: usize,
    /// A smaller chunk is merged with its neighbour on the same page if both fit into one.
    pub min_tokens: usize,
}

impl Default for ChunkParams {
    fn default() -> Self {
        Self { max_tokens: 220, overlap_tokens: 24, min_tokens: 40 }
    }
}
