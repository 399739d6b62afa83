//! Fuses the results of vector search and lexical search by their scores.
//!
//! Both normalized scores are comparable between queries: the cosine similarity as it is, and BM25 divided by the
//! maximum possible score for the query's words. So a list with a strong match counts more, and the weights need not
//! depend on the query. Rank fusion loses that information, and so does min-max normalization of each list, where the
//! best of a bad list counts as much as the best of a good one.

use super::fused_hit::{FusedHit, ScoreAccumulator};
use super::params::{Fusion, RetrievalParams};
use super::reciprocal_rank::reciprocal_rank;
use domain::search::{Candidate, RankedCandidate};

/// Fuses both lists with the method of [`RetrievalParams::fusion`]. Returns the best first; ties are ordered by passage
/// id.
#[must_use]
pub fn fuse(
    vector: Vec<RankedCandidate>,
    lexical: Vec<RankedCandidate>,
    params: &RetrievalParams,
) -> Vec<FusedHit<Candidate>> {
    match params.fusion {
        Fusion::WeightedSum => weighted_sum(vector, lexical, params),
        Fusion::ReciprocalRank => reciprocal_rank(vector, lexical),
        Fusion::Dense => weighted_sum(vector, Vec::new(), params),
        Fusion::Lexical => weighted_sum(Vec::new(), lexical, params),
    }
}

/// Adds the weighted normalized scores; a passage missing from one list scores 0 there. If one list is empty, the other
/// gets the whole weight.
fn weighted_sum(
    vector: Vec<RankedCandidate>,
    lexical: Vec<RankedCandidate>,
    params: &RetrievalParams,
) -> Vec<FusedHit<Candidate>> {
    let lexical_weight = match (vector.is_empty(), lexical.is_empty()) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => params.lexical_weight.clamp(0.0, 1.0),
    };
    let mut fused = ScoreAccumulator::with_capacity(vector.len() + lexical.len());
    for RankedCandidate { candidate, score, normalized_score } in vector {
        let entry = fused.entry(candidate);
        entry.score += (1.0 - lexical_weight) * clamp_normalized(normalized_score);
        entry.similarity = Some(score);
    }
    for RankedCandidate { candidate, score, normalized_score } in lexical {
        let entry = fused.entry(candidate);
        entry.score += lexical_weight * clamp_normalized(normalized_score);
        entry.bm25 = Some(score);
        entry.normalized_bm25 = Some(clamp_normalized(normalized_score));
    }
    fused.into_sorted()
}

/// Clamps a normalized score to 0 to 1; NaN and infinities become 0.
fn clamp_normalized(normalized_score: f32) -> f32 {
    if normalized_score.is_finite() { normalized_score.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::testing::candidate;
    use super::*;
    use proptest::prelude::*;

    fn list(scores: &[(u128, f32)]) -> Vec<RankedCandidate> {
        scores
            .iter()
            .map(|(id, normalized_score)| RankedCandidate {
                candidate: candidate(*id, 1, Some(1), "text"),
                score: 10.0 * normalized_score,
                normalized_score: *normalized_score,
            })
            .collect()
    }

    fn ids(fused: &[FusedHit<Candidate>]) -> Vec<u128> {
        fused.iter().map(|hit| hit.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    #[test]
    fn a_passage_found_by_both_searches_beats_one_found_by_only_one() {
        let fused = fuse(
            list(&[(1, 0.7), (2, 0.6), (3, 0.1)]),
            list(&[(2, 0.5), (4, 0.45), (3, 0.02)]),
            &RetrievalParams::default(),
        );
        assert_eq!(ids(&fused), [2, 1, 4, 3]);
        let scores: Vec<f32> = fused.iter().map(|hit| hit.score).collect();
        assert!((scores[0] - (0.6 * 0.6 + 0.4 * 0.5)).abs() < 1e-6, "{scores:?}");
        assert_eq!((fused[0].similarity, fused[0].bm25, fused[0].normalized_bm25), (Some(6.0), Some(5.0), Some(0.5)));
        assert_eq!((fused[1].bm25, fused[1].normalized_bm25), (None, None));
        assert_eq!(fused[2].similarity, None);
    }

    #[test]
    fn the_search_with_the_stronger_match_determines_the_order() {
        // Each list has a first hit of its own; the one with the higher normalized score wins.
        let strong_lexical =
            fuse(list(&[(1, 0.3), (2, 0.2)]), list(&[(2, 0.8), (1, 0.1)]), &RetrievalParams::default());
        assert_eq!(ids(&strong_lexical), [2, 1]);
        let strong_vector = fuse(list(&[(1, 0.8), (2, 0.3)]), list(&[(2, 0.2), (1, 0.1)]), &RetrievalParams::default());
        assert_eq!(ids(&strong_vector), [1, 2]);
    }

    #[test]
    fn a_single_search_keeps_its_order_and_has_the_whole_weight() {
        let fused = fuse(Vec::new(), list(&[(1, 0.9), (2, 0.3)]), &RetrievalParams::default());
        assert_eq!(ids(&fused), [1, 2]);
        assert!((fused[0].score - 0.9).abs() < f32::EPSILON);
    }

    proptest! {
        #[test]
        fn every_passage_appears_once_with_a_score_from_0_to_1_best_first(
            vector in proptest::collection::hash_map(0_u128..40, -1.0_f32..1.0, 0..30),
            lexical in proptest::collection::hash_map(0_u128..40, proptest::num::f32::ANY, 0..30),
            weight in 0.0_f32..=1.0,
        ) {
            let expected: std::collections::HashSet<u128> = vector.keys().chain(lexical.keys()).copied().collect();
            let params = RetrievalParams { lexical_weight: weight, ..RetrievalParams::default() };
            let fused = fuse(
                list(&vector.into_iter().collect::<Vec<_>>()),
                list(&lexical.into_iter().collect::<Vec<_>>()),
                &params,
            );
            prop_assert_eq!(fused.len(), expected.len());
            prop_assert_eq!(ids(&fused).into_iter().collect::<std::collections::HashSet<_>>(), expected);
            prop_assert!(fused.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
            prop_assert!(fused.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
