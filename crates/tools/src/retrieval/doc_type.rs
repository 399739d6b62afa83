//! Prefers passages of documents whose type suits the kind of the question.

use super::fused_hit::{FusedHit, sort};
use super::params::RetrievalParams;
use super::question_kind::QuestionKind;
use domain::search::Candidate;

/// Multiplies the scores of preferred passages by 1 plus [`RetrievalParams::doc_type_weight`], and rescales all scores
/// to 0 to 1. Takes and returns candidates sorted best first. Changes nothing if the weight is 0, or the question has
/// no kind.
#[must_use]
pub(super) fn prefer_doc_types(
    mut fused: Vec<FusedHit<Candidate>>,
    question: &str,
    params: &RetrievalParams,
) -> Vec<FusedHit<Candidate>> {
    let weight = params.doc_type_weight;
    if weight <= 0.0 {
        return fused;
    }
    let Some(kind) = QuestionKind::of(question) else { return fused };
    for hit in &mut fused {
        if !kind.prefers_passage(&hit.passage) {
            hit.score /= 1.0 + weight;
        }
    }
    sort(&mut fused);
    fused
}

#[cfg(test)]
mod tests {
    use super::super::testing::candidate;
    use super::*;

    fn ranked(question: &str, weight: f32) -> Vec<(u128, f32)> {
        let hit = |id: u128, doc_type: Option<&str>, score: f32| {
            let passage = Candidate { doc_type: doc_type.map(str::to_owned), ..candidate(id, id, Some(1), "text") };
            FusedHit { passage, score, similarity: Some(score), bm25: None, normalized_bm25: None }
        };
        let fused = vec![hit(1, Some("manual"), 0.8), hit(2, Some("procedure"), 0.7), hit(3, None, 0.5)];
        let params = RetrievalParams { doc_type_weight: weight, ..RetrievalParams::default() };
        let preferred = prefer_doc_types(fused, question, &params);
        preferred.iter().map(|hit| (hit.id().as_uuid().as_u128(), hit.score)).collect()
    }

    #[test]
    fn a_procedure_overtakes_a_slightly_better_manual_for_a_question_how() {
        assert_eq!(ranked("How do I isolate P-101?", 0.25), [(2, 0.7), (1, 0.8 / 1.25), (3, 0.5 / 1.25)]);
        let weak = ranked("How do I isolate P-101?", 0.1);
        assert_eq!(weak.first(), Some(&(1, 0.8 / 1.1)), "{weak:?}");
    }

    #[test]
    fn without_a_weight_or_a_kind_nothing_changes() {
        let unchanged = [(1, 0.8), (2, 0.7), (3, 0.5)];
        assert_eq!(ranked("How do I isolate P-101?", 0.0), unchanged);
        assert_eq!(ranked("P-101 seal", 0.5), unchanged);
        assert!(RetrievalParams::default().doc_type_weight.abs() < f32::EPSILON, "off until it is measured");
    }
}
