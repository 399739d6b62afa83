//! Reciprocal rank fusion, the baseline that the default fusion is compared with.

use super::fused_hit::{FusedHit, ScoreAccumulator};
use domain::search::{Candidate, RankedCandidate};

/// The constant `k` of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
const RRF_K: f32 = 60.0;

/// Fuses two lists, each best first. Scores are scaled to 0 to 1; 1 means first in both lists.
pub(super) fn reciprocal_rank(vector: Vec<RankedCandidate>, lexical: Vec<RankedCandidate>) -> Vec<FusedHit<Candidate>> {
    let mut fused = ScoreAccumulator::with_capacity(vector.len() + lexical.len());
    for (rank, RankedCandidate { candidate, score, normalized_score: _ }) in vector.into_iter().enumerate() {
        let entry = fused.entry(candidate);
        entry.score += rank_score(rank);
        entry.similarity = Some(score);
    }
    for (rank, RankedCandidate { candidate, score, normalized_score }) in lexical.into_iter().enumerate() {
        let entry = fused.entry(candidate);
        entry.score += rank_score(rank);
        entry.bm25 = Some(score);
        entry.normalized_bm25 = Some(normalized_score);
    }
    fused.into_sorted()
}

/// Score contributed by a 0-based rank in one list, at most 0.5.
fn rank_score(rank: usize) -> f32 {
    0.5 * (RRF_K + 1.0) / (RRF_K + 1.0 + rank as f32)
}

#[cfg(test)]
mod tests {
    use super::super::testing::candidate;
    use super::super::{Fusion, RetrievalParams, fuse};
    use super::*;

    fn list(scores: &[(u128, f32)]) -> Vec<RankedCandidate> {
        let ranked = |(id, score): &(u128, f32)| {
            let candidate = candidate(*id, 1, None, "text");
            RankedCandidate { candidate, score: *score, normalized_score: *score / 30.0 }
        };
        scores.iter().map(ranked).collect()
    }

    fn fused_ids(fusion: Fusion) -> Vec<u128> {
        let (near, lexical) = (list(&[(1, 0.9), (2, 0.8), (3, 0.1)]), list(&[(3, 30.0), (2, 2.0), (4, 1.0)]));
        let fused = fuse(near, lexical, &RetrievalParams { fusion, ..RetrievalParams::default() });
        fused.iter().map(|hit| hit.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    #[test]
    fn reciprocal_ranks_prefer_what_both_searches_find() {
        // 1/62 + 1/62 for the second passage, 1/63 + 1/61 for the third, 1/61 and 1/63 for the others.
        assert_eq!(fused_ids(Fusion::ReciprocalRank), [3, 2, 1, 4]);
        let first = reciprocal_rank(list(&[(1, 0.2)]), list(&[(1, 7.0)]));
        assert!((first[0].score - 1.0).abs() < 1e-6);
        assert_eq!((first[0].similarity, first[0].bm25), (Some(0.2), Some(7.0)));
    }

    #[test]
    fn a_single_search_keeps_its_order() {
        assert_eq!(fused_ids(Fusion::Dense), [1, 2, 3]);
        assert_eq!(fused_ids(Fusion::Lexical), [3, 2, 4]);
    }
}
