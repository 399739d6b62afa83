//! Selects the passages to return from the ranked candidates: removes duplicates and limits the hits per page. Requests
//! texts in batches, because few candidates need one.

use super::fingerprint::Fingerprint;
use super::fused_hit::FusedHit;
use super::page::DocumentPage;
use super::params::RetrievalParams;
use domain::ids::ChunkId;
use domain::search::{Candidate, Passage};
use std::collections::HashMap;
use std::iter::Enumerate;
use std::mem;
use std::vec::IntoIter;

/// Passages by id.
pub(super) type PassagesById = HashMap<ChunkId, Passage>;

/// A selection of `top_k` passages: no duplicates, and at most [`RetrievalParams::max_hits_per_page`] per page while
/// other pages have candidates left.
///
/// The caller reads the texts of [`Self::candidates_without_text`] and passes them to [`Self::supply_texts`], until no
/// candidate is returned. A candidate whose text is not supplied, because its document was deleted or ingested again
/// since the search, is skipped.
pub struct Selection {
    params: RetrievalParams,
    top_k: usize,
    /// Candidates not considered yet, best first.
    remaining: Enumerate<IntoIter<FusedHit<Candidate>>>,
    texts: PassagesById,
    /// The batch whose texts are requested next or were supplied last.
    batch: Vec<CandidateWithRank>,
    selected: Vec<SelectedHit>,
    selected_per_page: HashMap<DocumentPage, usize>,
    /// Candidates from pages that already have the maximum number of hits.
    over_page_limit: Vec<CandidateWithRank>,
    /// Whether all other candidates are used up, so that the rest is selected from `over_page_limit`.
    ignores_page_limit: bool,
    /// Passages selected from `over_page_limit`.
    selected_over_limit: Vec<FusedHit<Passage>>,
}

/// A candidate with its 0-based rank.
struct CandidateWithRank {
    rank: usize,
    candidate: FusedHit<Candidate>,
}

/// A passage that will be returned.
struct SelectedHit {
    rank: usize,
    hit: FusedHit<Passage>,
    fingerprint: Fingerprint,
}

impl Selection {
    /// A selection from `ranked`, which must be sorted best first.
    #[must_use]
    pub fn new(ranked: Vec<FusedHit<Candidate>>, top_k: usize, params: &RetrievalParams) -> Self {
        Self {
            params: *params,
            top_k,
            remaining: ranked.into_iter().enumerate(),
            texts: PassagesById::new(),
            batch: Vec::new(),
            selected: Vec::with_capacity(top_k),
            selected_per_page: HashMap::new(),
            over_page_limit: Vec::new(),
            ignores_page_limit: false,
            selected_over_limit: Vec::new(),
        }
    }

    /// Adds texts that were read before the selection.
    pub(super) fn with_texts(self, texts: PassagesById) -> Self {
        Self { texts, ..self }
    }

    /// The candidates whose texts are needed next; none once the selection is complete.
    pub fn candidates_without_text(&mut self) -> Vec<&Candidate> {
        while self.next_batch() && self.batch.iter().all(|ranked| self.has_text(ranked)) {
            self.consider_batch();
        }
        self.batch.iter().filter(|ranked| !self.has_text(ranked)).map(|ranked| &ranked.candidate.passage).collect()
    }

    fn has_text(&self, ranked: &CandidateWithRank) -> bool {
        self.texts.contains_key(&ranked.candidate.id())
    }

    /// Considers the batch with these texts, in any order.
    pub fn supply_texts(&mut self, texts: Vec<Passage>) {
        self.texts.extend(texts.into_iter().map(|passage| (passage.chunk_id, passage)));
        self.consider_batch();
    }

    /// The selected passages, best first.
    #[must_use]
    pub fn take_selected(&mut self) -> Vec<FusedHit<Passage>> {
        let chosen = mem::take(&mut self.selected).into_iter().map(|chosen| chosen.hit);
        let mut hits: Vec<FusedHit<Passage>> = chosen.chain(mem::take(&mut self.selected_over_limit)).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
        hits
    }

    /// The passages whose texts were supplied, but which were not selected.
    pub(super) fn into_unselected(self) -> impl Iterator<Item = Passage> {
        self.texts.into_values()
    }

    /// Fills the next batch; `false` if no more candidates are needed, or none are left. A batch has twice as many
    /// candidates as can still be returned, which makes up for the duplicates of most searches.
    fn next_batch(&mut self) -> bool {
        while !self.ignores_page_limit && self.selected.len() < self.top_k && self.batch.len() < 2 * self.top_k {
            match self.remaining.next() {
                Some((rank, candidate)) if self.is_page_full(DocumentPage::new(&candidate.passage)) => {
                    self.over_page_limit.push(CandidateWithRank { rank, candidate });
                }
                Some((rank, candidate)) => self.batch.push(CandidateWithRank { rank, candidate }),
                None => break,
            }
        }
        if !self.batch.is_empty() {
            return true;
        }
        if !self.ignores_page_limit {
            self.ignores_page_limit = true;
            self.over_page_limit.sort_unstable_by_key(|ranked| ranked.rank);
        }
        let count = (2 * self.missing_count()).min(self.over_page_limit.len());
        self.batch.extend(self.over_page_limit.drain(..count));
        !self.batch.is_empty()
    }

    fn consider_batch(&mut self) {
        for ranked in mem::take(&mut self.batch) {
            if self.missing_count() == 0 {
                return;
            }
            if self.ignores_page_limit { self.choose_over_limit(ranked) } else { self.choose(ranked) }
        }
    }

    /// Chooses a candidate, unless its page has the maximum number of hits or it is a duplicate.
    fn choose(&mut self, ranked: CandidateWithRank) {
        let page = DocumentPage::new(&ranked.candidate.passage);
        if self.is_page_full(page) {
            self.over_page_limit.push(ranked);
        } else if let Some(chosen) = self.select_unless_duplicate(ranked) {
            *self.selected_per_page.entry(page).or_default() += 1;
            self.selected.push(chosen);
        }
    }

    fn choose_over_limit(&mut self, ranked: CandidateWithRank) {
        if let Some(chosen) = self.select_unless_duplicate(ranked) {
            self.selected_over_limit.push(chosen.hit);
        }
    }

    /// The candidate with its text; `None` if it has no text, or is a duplicate of a chosen one with a better rank.
    fn select_unless_duplicate(
        &mut self,
        CandidateWithRank { rank, candidate }: CandidateWithRank,
    ) -> Option<SelectedHit> {
        let fingerprint = Fingerprint::new(&self.texts.get(&candidate.id())?.content);
        let overlap = self.params.duplicate_overlap;
        let mut better = self.selected.iter().filter(|chosen| chosen.rank < rank);
        if better.any(|chosen| fingerprint.is_duplicate_of(&chosen.fingerprint, overlap)) {
            return None;
        }
        let passage = self.texts.remove(&candidate.id())?;
        Some(SelectedHit { rank, hit: candidate.with_passage(passage), fingerprint })
    }

    fn is_page_full(&self, page: DocumentPage) -> bool {
        self.selected_per_page.get(&page).is_some_and(|count| *count >= self.params.max_hits_per_page)
    }

    /// How many passages are still missing.
    fn missing_count(&self) -> usize {
        self.top_k - self.selected.len() - self.selected_over_limit.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply_page_bonus;
    use super::super::testing::{candidate_of, passage};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn fused_hit(id: u128, document: u128, page: Option<u32>, text: &str, score: f32) -> FusedHit<Passage> {
        let passage = passage(id, document, page, text);
        FusedHit { passage, score, similarity: Some(score), bm25: None, normalized_bm25: None }
    }

    fn candidates(all: &[FusedHit<Passage>]) -> Vec<FusedHit<Candidate>> {
        all.iter().map(|hit| hit.clone().with_passage(candidate_of(&hit.passage))).collect()
    }

    /// Selects from these passages; also returns how many texts were requested.
    fn run_selection(
        all: &[FusedHit<Passage>],
        ranked: Vec<FusedHit<Candidate>>,
        top_k: usize,
    ) -> (Vec<FusedHit<Passage>>, usize) {
        let mut selection = Selection::new(ranked, top_k, &RetrievalParams::default());
        let mut text_count = 0;
        loop {
            let requested: HashSet<ChunkId> =
                selection.candidates_without_text().into_iter().map(|one| one.chunk_id).collect();
            if requested.is_empty() {
                return (selection.take_selected(), text_count);
            }
            text_count += requested.len();
            let texts = all.iter().filter(|hit| requested.contains(&hit.passage.chunk_id));
            selection.supply_texts(texts.map(|hit| hit.passage.clone()).collect());
        }
    }

    fn ids(fused: &[FusedHit<Passage>]) -> Vec<u128> {
        fused.iter().map(|hit| hit.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    fn select(all: &[FusedHit<Passage>], top_k: usize) -> Vec<u128> {
        ids(&run_selection(all, candidates(all), top_k).0)
    }

    #[test]
    fn a_page_has_at_most_two_hits_while_other_pages_have_candidates() {
        let many: Vec<FusedHit<Passage>> = (0..6_u8)
            .map(|n| fused_hit(u128::from(n), 1, Some(1), &format!("text {n}"), 0.9 - f32::from(n) / 100.0))
            .collect();
        let mut with_another = many.clone();
        with_another.push(fused_hit(9, 1, Some(2), "elsewhere", 0.1));
        assert_eq!(select(&with_another, 3), [0, 1, 9]);
        assert_eq!(select(&many, 5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_copy_is_dropped_and_a_row_that_differs_in_one_number_is_kept() {
        let row = "the tightening torque of the casing bolts of the feedwater pump is 480 newton meters in cold state";
        let ranked = [
            fused_hit(1, 1, Some(1), row, 0.9),
            fused_hit(2, 2, Some(7), row, 0.8),
            fused_hit(3, 1, Some(2), &row.replace("480", "520"), 0.7),
        ];
        assert_eq!(select(&ranked, 5), [1, 3]);
    }

    #[test]
    fn few_texts_are_read_unless_many_are_duplicates() {
        let texts: Vec<FusedHit<Passage>> =
            (0..100_u8).map(|n| fused_hit(n.into(), n.into(), Some(1), &format!("text {n}"), 0.9)).collect();
        assert_eq!(run_selection(&texts, candidates(&texts), 5).1, 10);
        let copies: Vec<FusedHit<Passage>> =
            (0..100_u8).map(|n| fused_hit(n.into(), n.into(), Some(1), &format!("text {}", n / 20), 0.9)).collect();
        let (hits, text_count) = run_selection(&copies, candidates(&copies), 3);
        assert_eq!((ids(&hits), text_count), (vec![0, 20, 40], 42));
    }

    #[test]
    fn a_passage_without_a_text_is_skipped() {
        let all: Vec<FusedHit<Passage>> =
            (0..9_u8).map(|n| fused_hit(n.into(), 1, Some(u32::from(n / 3)), &format!("text {n}"), 0.9)).collect();
        let remaining: Vec<FusedHit<Passage>> =
            all.iter().filter(|one| !one.passage.chunk_id.as_uuid().as_u128().is_multiple_of(3)).cloned().collect();
        let (hits, _) = run_selection(&remaining, candidates(&all), 9);
        assert_eq!(ids(&hits), [1, 2, 4, 5, 7, 8]);
        assert_eq!(run_selection(&[], candidates(&all), 3).0, []);
        assert_eq!(run_selection(&all, candidates(&all), 0).0, []);
    }

    /// Reference implementation, which has all texts from the start.
    fn reference(ranked: &[FusedHit<Passage>], top_k: usize) -> Vec<u128> {
        let params = RetrievalParams::default();
        let (mut chosen, mut over_page_limit) = (Vec::<&FusedHit<Passage>>::new(), Vec::new());
        let mut on_page: HashMap<DocumentPage, usize> = HashMap::new();
        for hit in ranked {
            if chosen.len() == top_k {
                break;
            }
            let fingerprint = |hit: &FusedHit<Passage>| Fingerprint::new(&hit.passage.content);
            if chosen
                .iter()
                .any(|other| fingerprint(hit).is_duplicate_of(&fingerprint(other), params.duplicate_overlap))
            {
                continue;
            }
            let count = on_page.entry(DocumentPage::new(&candidate_of(&hit.passage))).or_default();
            if *count < params.max_hits_per_page {
                *count += 1;
                chosen.push(hit);
            } else {
                over_page_limit.push(hit);
            }
        }
        let room = top_k - chosen.len();
        let mut hits: Vec<FusedHit<Passage>> =
            chosen.into_iter().chain(over_page_limit.into_iter().take(room)).cloned().collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
        ids(&hits)
    }

    proptest! {
        #[test]
        fn batches_select_the_same_as_all_texts_at_once(
            scores in proptest::collection::vec((0.0_f32..=1.0, 1_u32..6, 0_u8..12), 0..60),
            top_k in 0_usize..20,
        ) {
            let all: Vec<FusedHit<Passage>> = (0..)
                .zip(&scores)
                .map(|(n, (score, page, text))| {
                    fused_hit(n, 1, Some(*page), &format!("passage with text {text}"), *score)
                })
                .collect();
            let mut ranked = candidates(&all);
            super::super::fused_hit::sort(&mut ranked);
            let ranked = apply_page_bonus(ranked, &RetrievalParams::default());
            let position = |id: ChunkId| ranked.iter().position(|hit| hit.id() == id);
            let mut in_order = all.clone();
            in_order.sort_by_key(|hit| position(hit.passage.chunk_id));
            for hit in &mut in_order {
                hit.score = ranked[position(hit.passage.chunk_id).expect("all are ranked")].score;
            }
            let (hits, _) = run_selection(&all, ranked, top_k);
            prop_assert_eq!(ids(&hits), reference(&in_order, top_k));
            prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
            prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
