//! A candidate with its scores from vector search and lexical search.

use domain::ids::ChunkId;
use domain::search::{Candidate, RankedCandidate};
use std::collections::HashMap;

/// A passage with its fused score and the scores of each search. `P` is a [`Candidate`], which has no text, until the
/// passage is selected; then a [`Passage`](domain::search::Passage).
#[derive(Clone, PartialEq, Debug)]
pub struct FusedHit<P> {
    /// The passage, found by vector search, lexical search or both.
    pub passage: P,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity; `None` if vector search did not find the passage.
    pub similarity: Option<f32>,
    /// BM25 score; `None` if lexical search did not find the passage.
    pub bm25: Option<f32>,
    /// BM25 score divided by the maximum possible for the query, 0 to 1; `None` if lexical search did not find it.
    pub normalized_bm25: Option<f32>,
}

impl<P> FusedHit<P> {
    /// The same scores with another representation of the passage.
    pub(super) fn with_passage<Q>(self, passage: Q) -> FusedHit<Q> {
        let Self { passage: _, score, similarity, bm25, normalized_bm25 } = self;
        FusedHit { passage, score, similarity, bm25, normalized_bm25 }
    }
}

impl FusedHit<Candidate> {
    pub(super) fn id(&self) -> ChunkId {
        self.passage.chunk_id
    }
}

/// Adds up the scores of both lists by passage.
#[derive(Default)]
pub(super) struct ScoreAccumulator {
    hits: HashMap<ChunkId, FusedHit<Candidate>>,
}

impl ScoreAccumulator {
    /// An empty accumulator with room for this many candidates.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { hits: HashMap::with_capacity(capacity) }
    }

    /// The entry of a candidate; a new one has score 0.
    pub(super) fn entry(&mut self, candidate: Candidate) -> &mut FusedHit<Candidate> {
        self.hits.entry(candidate.chunk_id).or_insert_with(|| FusedHit {
            passage: candidate,
            score: 0.0,
            similarity: None,
            bm25: None,
            normalized_bm25: None,
        })
    }

    /// Clamps the scores to 0 to 1 and sorts best first; ties are ordered by passage id.
    pub(super) fn into_sorted(self) -> Vec<FusedHit<Candidate>> {
        let mut fused: Vec<FusedHit<Candidate>> = self.hits.into_values().collect();
        for hit in &mut fused {
            hit.score = hit.score.clamp(0.0, 1.0);
        }
        sort(&mut fused);
        fused
    }
}

/// Sorts best first; ties are ordered by passage id.
pub(super) fn sort(fused: &mut [FusedHit<Candidate>]) {
    fused.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id().cmp(&b.id())));
}

/// The lists of both searches, each best first.
#[derive(Clone, Default)]
pub(super) struct CandidateLists {
    pub(super) nearest: Vec<RankedCandidate>,
    pub(super) lexical: Vec<RankedCandidate>,
}
