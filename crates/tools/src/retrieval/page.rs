//! Pages of documents, and the bonus for pages with several matches.

use super::fused_hit::{FusedHit, sort};
use super::params::RetrievalParams;
use domain::ids::DocumentId;
use domain::search::{Candidate, SectionKey};
use std::collections::HashMap;

/// Consecutive passages that count as one page in documents without pages and headings: about one printed page.
const PASSAGES_PER_GROUP: i32 = 4;

/// Adds the page bonus ([`RetrievalParams::page_bonus`]) to the best passage of each page, because a second match
/// makes a page more relevant. Scores are rescaled to 0 to 1. Takes and returns candidates sorted best first.
#[must_use]
pub fn apply_page_bonus(mut fused: Vec<FusedHit<Candidate>>, params: &RetrievalParams) -> Vec<FusedHit<Candidate>> {
    let mut pages: HashMap<DocumentPage, BestOnPage> = HashMap::new();
    for (index, hit) in fused.iter().enumerate() {
        pages
            .entry(DocumentPage::new(&hit.passage))
            .and_modify(|best| {
                best.second_score.get_or_insert(hit.score);
            })
            .or_insert(BestOnPage { index, second_score: None });
    }
    for BestOnPage { index, second_score } in pages.into_values() {
        fused[index].score += params.page_bonus * second_score.unwrap_or_default();
    }
    for hit in &mut fused {
        hit.score /= 1.0 + params.page_bonus;
    }
    sort(&mut fused);
    fused
}

/// The best candidate of a page.
struct BestOnPage {
    index: usize,
    /// Score of the page's second best candidate.
    second_score: Option<f32>,
}

/// Identifies a page of a document. In documents without pages, the text under one heading counts as a page; without
/// headings, each run of [`PASSAGES_PER_GROUP`] passages.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum DocumentPage {
    Page(DocumentId, u32),
    Section(DocumentId, SectionKey),
    PassageGroup(DocumentId, i32),
}

impl DocumentPage {
    pub(super) fn new(passage: &Candidate) -> Self {
        let document = passage.document_id;
        match (passage.page, passage.section) {
            (Some(page), _) => Self::Page(document, page),
            (None, Some(section)) => Self::Section(document, section),
            (None, None) => Self::PassageGroup(document, passage.chunk_index / PASSAGES_PER_GROUP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::candidate;
    use super::*;

    fn fused(id: u128, page: u32, score: f32) -> FusedHit<Candidate> {
        let passage = candidate(id, 1, Some(page), "text");
        FusedHit { passage, score, similarity: Some(score), bm25: None, normalized_bm25: None }
    }

    #[test]
    fn a_page_with_two_good_passages_overtakes_one_with_a_single_slightly_better_passage() {
        let ranked = apply_page_bonus(
            vec![fused(1, 1, 0.80), fused(2, 2, 0.78), fused(3, 2, 0.70), fused(4, 2, 0.60)],
            &RetrievalParams::default(),
        );
        let ids: Vec<u128> = ranked.iter().map(|hit| hit.id().as_uuid().as_u128()).collect();
        assert_eq!(ids, [2, 1, 3, 4]);
        assert!((ranked[0].score - (0.78 + 0.15 * 0.70) / 1.15).abs() < 1e-6);
    }

    #[test]
    fn without_pages_a_heading_is_a_page_and_without_headings_a_run_of_passages_is() {
        let page_at = |chunk_index: i32, section: Option<i64>| {
            let section = section.map(SectionKey);
            DocumentPage::new(&Candidate { chunk_index, section, ..candidate(1, 1, None, "text") })
        };
        assert!(page_at(0, Some(1)) == page_at(9, Some(1)));
        assert!(page_at(0, Some(1)) != page_at(1, Some(2)));
        assert!(page_at(0, None) == page_at(3, None));
        assert!(page_at(3, None) != page_at(4, None));
    }
}
