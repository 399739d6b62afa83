//! A candidate passage with the scores of both sides.

use domain::ids::ChunkId;
use domain::search::Passage;
use std::collections::HashMap;

/// A passage with its scores.
#[derive(Clone, PartialEq, Debug)]
pub struct Fused {
    /// Passage that one or both sides found.
    pub passage: Passage,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity, if the vector side found the passage.
    pub similarity: Option<f32>,
    /// BM25 score, if the lexical side found the passage.
    pub bm25: Option<f32>,
    /// BM25 as a share of the maximum for the query, if the lexical side found the passage.
    pub bm25_share: Option<f32>,
}

/// Sorts best first; ties are ordered by passage id.
pub(super) fn sorted(fused: HashMap<ChunkId, Fused>) -> Vec<Fused> {
    let mut fused: Vec<Fused> = fused.into_values().collect();
    for one in &mut fused {
        one.score = one.score.clamp(0.0, 1.0);
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
    fused
}

/// The entry of the passage; inserted with score 0 if the other side did not find it.
pub(super) fn entry(fused: &mut HashMap<ChunkId, Fused>, passage: Passage) -> &mut Fused {
    let new = Fused { passage, score: 0.0, similarity: None, bm25: None, bm25_share: None };
    fused.entry(new.passage.chunk_id).or_insert(new)
}
