//! Fusion: two ranked lists become one, by min-max scaled scores.
//!
//! Weighted sums of scaled scores beat reciprocal rank fusion where one side is much surer than the other: ranks
//! throw that away.

use super::RetrievalParams;
use super::fusion::{Fusion, reciprocal_rank};
use domain::ids::ChunkId;
use domain::search::{Passage, RankedPassage};
use std::collections::HashMap;

/// A passage with what both sides say of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Fused {
    /// The passage.
    pub passage: Passage,
    /// Weighted sum of the scaled scores, 0 to 1.
    pub score: f32,
    /// Cosine similarity, if the vector side found it.
    pub similarity: Option<f32>,
    /// BM25, if the lexical side found it.
    pub bm25: Option<f32>,
}

/// Fuses both sides as [`RetrievalParams::fusion`] says. Best first; ties in order of the passages' ids.
#[must_use]
pub fn fuse(vector: Vec<RankedPassage>, lexical: Vec<RankedPassage>, params: &RetrievalParams) -> Vec<Fused> {
    match params.fusion {
        Fusion::MinMax => min_max(vector, lexical, params),
        Fusion::ReciprocalRank => reciprocal_rank(vector, lexical),
        Fusion::Dense => min_max(vector, Vec::new(), params),
        Fusion::Lexical => min_max(Vec::new(), lexical, params),
    }
}

/// Each list's scores scaled to 0 to 1, weighted and added; a passage that a side did not find has 0 there. Where one
/// side is empty the other has the whole weight.
fn min_max(vector: Vec<RankedPassage>, lexical: Vec<RankedPassage>, params: &RetrievalParams) -> Vec<Fused> {
    let lexical_weight = match (vector.is_empty(), lexical.is_empty()) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => params.lexical_weight.clamp(0.0, 1.0),
    };
    let mut fused: HashMap<ChunkId, Fused> = HashMap::with_capacity(vector.len() + lexical.len());
    let (scale, list) = (Scale::of(&vector), vector);
    for RankedPassage { passage, score } in list {
        let entry = entry(&mut fused, passage);
        entry.score += (1.0 - lexical_weight) * scale.apply(score);
        entry.similarity = Some(score);
    }
    let (scale, list) = (Scale::of(&lexical), lexical);
    for RankedPassage { passage, score } in list {
        let entry = entry(&mut fused, passage);
        entry.score += lexical_weight * scale.apply(score);
        entry.bm25 = Some(score);
    }
    sorted(fused)
}

/// Best first; ties in order of the passages' ids.
pub(super) fn sorted(fused: HashMap<ChunkId, Fused>) -> Vec<Fused> {
    let mut fused: Vec<Fused> = fused.into_values().collect();
    for one in &mut fused {
        one.score = one.score.clamp(0.0, 1.0);
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
    fused
}

/// The passage's entry, made where the other side has not found it.
pub(super) fn entry(fused: &mut HashMap<ChunkId, Fused>, passage: Passage) -> &mut Fused {
    fused.entry(passage.chunk_id).or_insert(Fused { passage, score: 0.0, similarity: None, bm25: None })
}

/// Maps a list's scores to 0 to 1.
struct Scale {
    low: f32,
    span: f32,
}

impl Scale {
    fn of(list: &[RankedPassage]) -> Self {
        let finite = || list.iter().map(|ranked| ranked.score).filter(|score| score.is_finite());
        let low = finite().fold(f32::INFINITY, f32::min);
        let high = finite().fold(f32::NEG_INFINITY, f32::max);
        Self { low, span: high - low }
    }

    /// A list whose scores are all the same gives 1 to each; a score that is no number gives 0.
    fn apply(&self, score: f32) -> f32 {
        if !score.is_finite() {
            0.0
        } else if self.span > 0.0 {
            (score - self.low) / self.span
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::passage;
    use super::*;
    use proptest::prelude::*;

    fn list(scores: &[(u128, f32)]) -> Vec<RankedPassage> {
        scores
            .iter()
            .map(|(id, score)| RankedPassage { passage: passage(*id, 1, Some(1), "text"), score: *score })
            .collect()
    }

    fn order(fused: &[Fused]) -> Vec<u128> {
        fused.iter().map(|one| one.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    #[test]
    fn a_passage_that_both_sides_find_beats_one_that_only_one_side_finds() {
        let fused = fuse(
            list(&[(1, 0.9), (2, 0.8), (3, 0.1)]),
            list(&[(2, 20.0), (4, 19.0), (3, 1.0)]),
            &RetrievalParams::default(),
        );
        assert_eq!(order(&fused), [2, 1, 4, 3]);
        let scores: Vec<f32> = fused.iter().map(|one| one.score).collect();
        assert!((scores[0] - (0.5 * 0.875 + 0.5)).abs() < 1e-6, "{scores:?}");
        assert_eq!(fused[1].bm25, None);
        assert_eq!(fused[2].similarity, None);
    }

    #[test]
    fn one_side_alone_keeps_its_order_and_has_the_whole_weight() {
        let fused = fuse(Vec::new(), list(&[(1, 9.0), (2, 3.0)]), &RetrievalParams::default());
        assert_eq!(order(&fused), [1, 2]);
        assert!((fused[0].score - 1.0).abs() < f32::EPSILON);
    }

    proptest! {
        #[test]
        fn every_passage_appears_once_with_a_score_from_0_to_1_best_first(
            vector in proptest::collection::hash_map(0_u128..40, -1.0_f32..1.0, 0..30),
            lexical in proptest::collection::hash_map(0_u128..40, 0.0_f32..50.0, 0..30),
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
            prop_assert_eq!(order(&fused).into_iter().collect::<std::collections::HashSet<_>>(), expected);
            prop_assert!(fused.iter().all(|one| (0.0..=1.0).contains(&one.score)));
            prop_assert!(fused.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
