//! A candidate with its scores from vector search and lexical search.

use domain::ids::ChunkId;
use domain::search::{Candidate, RankedCandidate};
use std::collections::HashMap;

/// A passage with its fused score and the scores of each search. `P` is a [`Candidate`], which has no text, until the
/// passage is selected; then a [`Passage`](domain::search::Passage).
#[derive(Clone, PartialEq, Debug)]
pub struct Fused<P> {
    /// The passage, found by vector search, lexical search or both.
    pub passage: P,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity; `None` if vector search did not find the passage.
    pub similarity: Option<f32>,
    /// BM25 score; `None` if lexical search did not find the passage.
    pub bm25: Option<f32>,
    /// BM25 score divided by the maximum possible for the query, 0 to 1; `None` if lexical search did not find it.
    pub bm25_share: Option<f32>,
}

impl<P> Fused<P> {
    /// The same scores with another representation of the passage.
    pub(super) fn with<Q>(self, passage: Q) -> Fused<Q> {
        let Self { passage: _, score, similarity, bm25, bm25_share } = self;
        Fused { passage, score, similarity, bm25, bm25_share }
    }
}

impl Fused<Candidate> {
    pub(super) fn id(&self) -> ChunkId {
        self.passage.chunk_id
    }
}

/// Adds up the scores of both lists by passage.
#[derive(Default)]
pub(super) struct ScoreSum {
    fused: HashMap<ChunkId, Fused<Candidate>>,
}

impl ScoreSum {
    /// An empty sum with room for this many candidates.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { fused: HashMap::with_capacity(capacity) }
    }

    /// The entry of a candidate; a new one has score 0.
    pub(super) fn entry(&mut self, candidate: Candidate) -> &mut Fused<Candidate> {
        self.fused.entry(candidate.chunk_id).or_insert_with(|| Fused {
            passage: candidate,
            score: 0.0,
            similarity: None,
            bm25: None,
            bm25_share: None,
        })
    }

    /// Clamps the scores to 0 to 1 and sorts best first; ties are ordered by passage id.
    pub(super) fn sorted(self) -> Vec<Fused<Candidate>> {
        let mut fused: Vec<Fused<Candidate>> = self.fused.into_values().collect();
        for one in &mut fused {
            one.score = one.score.clamp(0.0, 1.0);
        }
        sort(&mut fused);
        fused
    }
}

/// Sorts best first; ties are ordered by passage id.
pub(super) fn sort(fused: &mut [Fused<Candidate>]) {
    fused.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id().cmp(&b.id())));
}

/// The lists of both searches, each best first.
#[derive(Clone, Default)]
pub(super) struct CandidateLists {
    pub(super) near: Vec<RankedCandidate>,
    pub(super) lexical: Vec<RankedCandidate>,
}
