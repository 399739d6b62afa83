//! A candidate passage with its scores from vector search and lexical search.

use domain::ids::ChunkId;
use domain::search::Passage;
use std::collections::HashMap;

/// A candidate passage with its fused score and the scores of each search.
#[derive(Clone, PartialEq, Debug)]
pub struct Fused {
    /// The passage, found by vector search, lexical search or both.
    pub passage: Passage,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity; `None` if vector search did not find the passage.
    pub similarity: Option<f32>,
    /// BM25 score; `None` if lexical search did not find the passage.
    pub bm25: Option<f32>,
    /// BM25 score divided by the maximum possible for the query, 0 to 1; `None` if lexical search did not find it.
    pub bm25_share: Option<f32>,
}

/// Clamps the scores to 0 to 1 and sorts best first; ties are ordered by passage id.
pub(super) fn sorted(fused: HashMap<ChunkId, Fused>) -> Vec<Fused> {
    let mut fused: Vec<Fused> = fused.into_values().collect();
    for one in &mut fused {
        one.score = one.score.clamp(0.0, 1.0);
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
    fused
}

/// Returns the passage's entry; inserts one with score 0 if the other search did not find the passage.
pub(super) fn entry(fused: &mut HashMap<ChunkId, Fused>, passage: Passage) -> &mut Fused {
    let new = Fused { passage, score: 0.0, similarity: None, bm25: None, bm25_share: None };
    fused.entry(new.passage.chunk_id).or_insert(new)
}
