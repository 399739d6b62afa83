//! Derives chunk sizes from the embedding model and the operator's settings.

use super::chunk::ChunkParams;
use domain::model::EmbeddingModel;

/// Special tokens that the model adds to each text, at its start and end.
const SPECIAL_TOKENS: usize = 2;
/// Default maximum size of a chunk's content in tokens, even if the model accepts more: a long passage shows less
/// precisely where the cited answer is.
const MAX_CONTENT_TOKENS: usize = 450;

/// Chunk sizes configured by the operator; unset values are derived from the embedding model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChunkSizeOverrides {
    /// Maximum size of a chunk's content, in tokens.
    pub max_tokens: Option<usize>,
    /// Maximum overlap with the previous chunk, in tokens; it consists of whole sentences.
    pub overlap_tokens: Option<usize>,
}

/// Returns the chunk sizes for a model. Content, title and heading path together must fit into its input limit, or the
/// model would silently truncate the end of each passage: this leaves 222 tokens of content for an input limit of 256,
/// and 446 for 512. Configured sizes are capped by that limit, and the overlap by half of a chunk.
#[must_use]
pub fn chunk_params(model: &EmbeddingModel, configured: ChunkSizeOverrides) -> ChunkParams {
    let prefix_tokens = (model.max_tokens / 8).clamp(16, 64);
    let max_content = model.max_tokens.saturating_sub(SPECIAL_TOKENS + prefix_tokens).max(16);
    let max_tokens = configured.max_tokens.unwrap_or(MAX_CONTENT_TOKENS).clamp(16, max_content);
    let overlap_tokens = configured.overlap_tokens.unwrap_or(max_tokens / 10).min(max_tokens / 2);
    ChunkParams { max_tokens, overlap_tokens, min_tokens: 40.min(max_tokens / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(max_tokens: usize) -> EmbeddingModel {
        EmbeddingModel { name: "m".into(), dimension: 2, max_tokens }
    }

    #[test]
    fn content_and_prefix_fit_the_models_input_limit() {
        for (input_limit, content) in [(256, 222), (512, 446), (8192, 450)] {
            let params = chunk_params(&model(input_limit), ChunkSizeOverrides::default());
            assert_eq!(params.max_tokens, content);
            assert!(params.overlap_tokens < params.min_tokens + 6 && params.min_tokens < params.max_tokens);
        }
    }

    #[test]
    fn configured_sizes_are_capped_by_the_models_input_limit() {
        let capped = |max_tokens, overlap_tokens| {
            let params = chunk_params(&model(256), ChunkSizeOverrides { max_tokens, overlap_tokens });
            (params.max_tokens, params.overlap_tokens)
        };
        assert_eq!(capped(Some(120), None), (120, 12));
        assert_eq!(capped(Some(5_000), Some(0)), (222, 0));
        assert_eq!(capped(None, Some(5_000)), (222, 111));
    }
}
