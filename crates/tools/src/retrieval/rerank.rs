//! Reranking: a cross-encoder, which reads question and passage together, reorders the best candidates.
//!
//! It is slow and may be unavailable, so it gets few candidates, and on any failure the fused order is kept.

use super::fused_hit::{FusedHit, sort};
use super::select::PassagesById;
use crate::calls::CallRecorder;
use domain::ids::ChunkId;
use domain::model::{ModelError, RerankRequest, RerankScores};
use domain::model_call::ModelCaller;
use domain::ports::Reranker;
use domain::role::Classification;
use domain::search::{Candidate, Passage, Retrieval};
use std::collections::HashMap;
use std::sync::Arc;

/// Weight of the reranker's score; the fused score, which is better at exact part numbers and tags, has the rest. Not
/// tuned, because no reranker ships with the platform.
const RERANKER_WEIGHT: f32 = 0.7;

/// A reranker and the number of candidates to rerank.
#[derive(Clone)]
pub struct Reranking {
    /// The reranking model.
    pub model: Arc<dyn Reranker>,
    /// Number of best candidates that are reranked.
    pub candidates: usize,
}

/// The reranker's scores by passage, with the name of its model.
pub(super) struct PassageScores {
    model: String,
    scores: HashMap<ChunkId, f32>,
}

impl PassageScores {
    /// Stores the scores and the model's name in the search result.
    pub(super) fn annotate(self, found: &mut Retrieval) {
        for hit in &mut found.hits {
            hit.rerank_score = self.scores.get(&hit.passage.chunk_id).copied();
        }
        found.reranked_by = Some(self.model);
    }
}

/// One call of the reranker: the query, the caller, and the limit on what may be sent.
pub(super) struct RerankCall<'a> {
    pub(super) query: &'a str,
    /// No passage above this classification is sent.
    pub(super) max_classification: Classification,
    pub(super) caller: ModelCaller,
    pub(super) model_call_recorder: &'a CallRecorder,
}

impl Reranking {
    /// The candidates to rerank, whose texts the caller reads: the best of `fused`, which must be sorted best first.
    /// Empty if there are fewer than two, because a single passage needs no reranking, or if one is classified above
    /// `max_classification`.
    pub(super) fn candidates_to_rerank(
        &self,
        fused: &[FusedHit<Candidate>],
        max_classification: Classification,
    ) -> Vec<ChunkId> {
        let best = &fused[..fused.len().min(self.candidates)];
        if best.len() < 2 || best.iter().any(|hit| hit.passage.classification > max_classification) {
            return Vec::new();
        }
        best.iter().map(FusedHit::id).collect()
    }

    /// Reranks the candidates that [`Self::candidates_to_rerank`] returned and sorts the list again. Those without a
    /// text in `texts` no longer exist and are removed. Returns `None` and keeps the order if fewer than two are left,
    /// if a passage's classification was raised above the limit in the meantime, or if the reranker fails; the search
    /// then continues without it.
    pub(super) async fn apply(
        &self,
        fused: &mut Vec<FusedHit<Candidate>>,
        to_rerank: &[ChunkId],
        texts: &PassagesById,
        call: RerankCall<'_>,
    ) -> Option<PassageScores> {
        let mut rank = 0..;
        fused.retain(|hit| rank.next() >= Some(to_rerank.len()) || texts.contains_key(&hit.id()));
        let passages: Vec<&Passage> = to_rerank.iter().filter_map(|id| texts.get(id)).collect();
        if passages.len() < 2 {
            return None;
        }
        let request = RerankRequest {
            caller: call.caller,
            query: call.query.to_owned(),
            passages: passages.iter().map(|passage| reranker_text(passage)).collect(),
            classification: passages
                .iter()
                .map(|passage| passage.classification)
                .fold(Classification::Public, Ord::max),
        };
        if request.classification > call.max_classification {
            return None;
        }
        let scores = self.scores(request, call.model_call_recorder).await?;
        blend(fused, &scores);
        let ids = passages.into_iter().map(|passage| passage.chunk_id);
        Some(PassageScores { model: self.model.name(), scores: ids.zip(scores).collect() })
    }

    /// Returns one score per passage, or `None` if the reranker failed, which is logged.
    async fn scores(&self, request: RerankRequest, model_call_recorder: &CallRecorder) -> Option<Vec<f32>> {
        let count = request.passages.len();
        match model_call_recorder.rerank(&*self.model, request).await {
            Ok(RerankScores { scores, .. })
                if scores.len() == count && scores.iter().all(|score| score.is_finite()) =>
            {
                Some(scores)
            }
            Ok(_) => {
                tracing::warn!(
                    model = self.model.name(),
                    "the reranker returned invalid scores; keeping the fused order"
                );
                None
            }
            Err(error @ ModelError::NotConfigured { .. }) => {
                tracing::debug!(%error, "the reranker may not see these passages; keeping the fused order");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "reranking failed; keeping the fused order");
                None
            }
        }
    }
}

/// Mixes the reranker's scores of the first passages into the fused scores, and sorts the list.
///
/// The reranker's scores are min-max normalized, because their scale differs between rerankers. A passage that was not
/// reranked counts as 0 there, so it never overtakes a reranked one. Scores stay within 0 to 1.
fn blend(fused: &mut [FusedHit<Candidate>], scores: &[f32]) {
    let low = scores.iter().copied().fold(f32::INFINITY, f32::min);
    let span = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low;
    let scaled = |score: &f32| if span > 0.0 { (score - low) / span } else { 1.0 };
    let scaled = scores.iter().map(scaled).chain(std::iter::repeat(0.0));
    for (hit, reranker_score) in fused.iter_mut().zip(scaled) {
        hit.score = (1.0 - RERANKER_WEIGHT) * hit.score + RERANKER_WEIGHT * reranker_score;
    }
    sort(fused);
}

/// The text that the reranker gets for a passage: title and headings, then the content, as in its embedded text.
fn reranker_text(passage: &Passage) -> String {
    let Passage { title, section, content, .. } = passage;
    match section.as_deref() {
        Some(section) if section != title => format!("{title} | {section}\n{content}"),
        _ => format!("{title}\n{content}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::candidate;
    use super::*;
    use proptest::prelude::*;

    fn fused(scores: &[f32]) -> Vec<FusedHit<Candidate>> {
        let to_hit = |(id, score): (u128, &f32)| FusedHit {
            passage: candidate(id, 1, None, "text"),
            score: *score,
            similarity: None,
            bm25: None,
            normalized_bm25: None,
        };
        (0..).zip(scores).map(to_hit).collect()
    }

    fn ids(fused: &[FusedHit<Candidate>]) -> Vec<u128> {
        fused.iter().map(|hit| hit.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    #[test]
    fn reranked_passages_are_reordered_and_stay_ahead_of_the_rest() {
        let mut list = fused(&[0.9, 0.8, 0.7, 0.6]);
        blend(&mut list, &[0.1, 0.2, 0.9]);
        assert_eq!(ids(&list), [2, 1, 0, 3]);
    }

    #[test]
    fn equal_reranker_scores_keep_the_fused_order() {
        let mut list = fused(&[0.9, 0.8, 0.7]);
        blend(&mut list, &[0.4, 0.4, 0.4]);
        assert_eq!(ids(&list), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn blended_scores_are_sorted_within_0_to_1_and_unranked_passages_never_overtake(
            mut scores in proptest::collection::vec(0.0_f32..=1.0, 1..40),
            reranker_scores in proptest::collection::vec(0.0_f32..=1.0, 1..40),
        ) {
            scores.sort_by(|a, b| b.total_cmp(a));
            let reranker_scores = &reranker_scores[..reranker_scores.len().min(scores.len())];
            let mut list = fused(&scores);
            let first_unranked_score = list.get(reranker_scores.len()).map(|one| one.score);
            blend(&mut list, reranker_scores);
            prop_assert!(list.iter().all(|one| (0.0..=1.0).contains(&one.score)));
            prop_assert!(list.windows(2).all(|pair| pair[0].score >= pair[1].score));
            if first_unranked_score.is_some() {
                let ranked_count = reranker_scores.len() as u128;
                let last_ranked = ids(&list).iter().rposition(|id| *id < ranked_count);
                let is_unranked =
                    |hit: &&FusedHit<Candidate>| hit.passage.chunk_id.as_uuid().as_u128() >= ranked_count;
                let best_unranked = list.iter().find(is_unranked);
                let last = &list[last_ranked.expect("one was ranked")];
                prop_assert!(best_unranked.expect("one was not").score <= last.score + f32::EPSILON);
            }
        }
    }
}
