//! Selects the passages to return from the ranked candidates: removes duplicates and limits the hits per page. Requests
//! texts in batches, because few candidates need one.

use super::fingerprint::Fingerprint;
use super::fused::Fused;
use super::page::DocumentPage;
use super::params::RetrievalParams;
use domain::ids::ChunkId;
use domain::search::{Candidate, Passage};
use std::collections::HashMap;
use std::iter::Enumerate;
use std::mem;
use std::vec::IntoIter;

/// Passages by id.
pub(super) type TextsById = HashMap<ChunkId, Passage>;

/// A selection of `top_k` passages: no duplicates, and at most [`RetrievalParams::per_page`] per page while other pages
/// have candidates left.
///
/// The caller reads the texts that [`Self::wanted`] asks for and passes them to [`Self::supply`], until none are
/// wanted. A candidate whose text is not supplied, because its document was deleted or ingested again since the search,
/// is skipped.
pub struct Selection {
    params: RetrievalParams,
    top_k: usize,
    /// Candidates not considered yet, best first.
    rest: Enumerate<IntoIter<Fused<Candidate>>>,
    texts: TextsById,
    /// The batch whose texts are requested next or were supplied last.
    batch: Vec<Ranked>,
    chosen: Vec<Chosen>,
    on_page: HashMap<DocumentPage, usize>,
    /// Candidates from pages that already have the maximum number of hits.
    over_page_limit: Vec<Ranked>,
    /// Whether all other candidates are used up, so that the rest is selected from `over_page_limit`.
    fills: bool,
    /// Passages selected from `over_page_limit`.
    filled: Vec<Fused<Passage>>,
}

/// A candidate with its 0-based rank.
struct Ranked {
    rank: usize,
    one: Fused<Candidate>,
}

/// A passage that will be returned.
struct Chosen {
    rank: usize,
    one: Fused<Passage>,
    fingerprint: Fingerprint,
}

impl Selection {
    /// A selection from `ranked`, which must be sorted best first.
    #[must_use]
    pub fn new(ranked: Vec<Fused<Candidate>>, top_k: usize, params: &RetrievalParams) -> Self {
        Self {
            params: *params,
            top_k,
            rest: ranked.into_iter().enumerate(),
            texts: TextsById::new(),
            batch: Vec::new(),
            chosen: Vec::with_capacity(top_k),
            on_page: HashMap::new(),
            over_page_limit: Vec::new(),
            fills: false,
            filled: Vec::new(),
        }
    }

    /// Adds texts that were read before the selection.
    pub(super) fn with_texts(self, texts: TextsById) -> Self {
        Self { texts, ..self }
    }

    /// The candidates whose texts are needed next; none once the selection is complete.
    pub fn wanted(&mut self) -> Vec<&Candidate> {
        while self.next_batch() && self.batch.iter().all(|ranked| self.has_text(ranked)) {
            self.consider_batch();
        }
        self.batch.iter().filter(|ranked| !self.has_text(ranked)).map(|ranked| &ranked.one.passage).collect()
    }

    fn has_text(&self, ranked: &Ranked) -> bool {
        self.texts.contains_key(&ranked.one.id())
    }

    /// Considers the batch with these texts, in any order.
    pub fn supply(&mut self, texts: Vec<Passage>) {
        self.texts.extend(texts.into_iter().map(|passage| (passage.chunk_id, passage)));
        self.consider_batch();
    }

    /// The selected passages, best first.
    #[must_use]
    pub fn finish(&mut self) -> Vec<Fused<Passage>> {
        let chosen = mem::take(&mut self.chosen).into_iter().map(|chosen| chosen.one);
        let mut hits: Vec<Fused<Passage>> = chosen.chain(mem::take(&mut self.filled)).collect();
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
        while !self.fills && self.chosen.len() < self.top_k && self.batch.len() < 2 * self.top_k {
            match self.rest.next() {
                Some((rank, one)) if self.is_full(DocumentPage::new(&one.passage)) => {
                    self.over_page_limit.push(Ranked { rank, one });
                }
                Some((rank, one)) => self.batch.push(Ranked { rank, one }),
                None => break,
            }
        }
        if !self.batch.is_empty() {
            return true;
        }
        if !self.fills {
            self.fills = true;
            self.over_page_limit.sort_unstable_by_key(|ranked| ranked.rank);
        }
        let count = (2 * self.room()).min(self.over_page_limit.len());
        self.batch.extend(self.over_page_limit.drain(..count));
        !self.batch.is_empty()
    }

    fn consider_batch(&mut self) {
        for ranked in mem::take(&mut self.batch) {
            if self.room() == 0 {
                return;
            }
            if self.fills { self.fill(ranked) } else { self.choose(ranked) }
        }
    }

    /// Chooses a candidate, unless its page has the maximum number of hits or it is a duplicate.
    fn choose(&mut self, ranked: Ranked) {
        let page = DocumentPage::new(&ranked.one.passage);
        if self.is_full(page) {
            self.over_page_limit.push(ranked);
        } else if let Some(chosen) = self.unless_duplicate(ranked) {
            *self.on_page.entry(page).or_default() += 1;
            self.chosen.push(chosen);
        }
    }

    fn fill(&mut self, ranked: Ranked) {
        if let Some(chosen) = self.unless_duplicate(ranked) {
            self.filled.push(chosen.one);
        }
    }

    /// The candidate with its text; `None` if it has no text, or is a duplicate of a chosen one with a better rank.
    fn unless_duplicate(&mut self, Ranked { rank, one }: Ranked) -> Option<Chosen> {
        let fingerprint = Fingerprint::new(&self.texts.get(&one.id())?.content);
        let overlap = self.params.duplicate_overlap;
        let mut better = self.chosen.iter().filter(|chosen| chosen.rank < rank);
        if better.any(|chosen| fingerprint.is_duplicate_of(&chosen.fingerprint, overlap)) {
            return None;
        }
        let passage = self.texts.remove(&one.id())?;
        Some(Chosen { rank, one: one.with(passage), fingerprint })
    }

    fn is_full(&self, page: DocumentPage) -> bool {
        self.on_page.get(&page).is_some_and(|count| *count >= self.params.per_page)
    }

    /// How many passages are still missing.
    fn room(&self) -> usize {
        self.top_k - self.chosen.len() - self.filled.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_aggregate;
    use super::super::testing::{candidate_of, passage};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn found(id: u128, document: u128, page: Option<u32>, text: &str, score: f32) -> Fused<Passage> {
        let passage = passage(id, document, page, text);
        Fused { passage, score, similarity: Some(score), bm25: None, bm25_share: None }
    }

    fn candidates(all: &[Fused<Passage>]) -> Vec<Fused<Candidate>> {
        all.iter().map(|one| one.clone().with(candidate_of(&one.passage))).collect()
    }

    /// Selects from these passages; also returns how many texts were requested.
    fn selected(all: &[Fused<Passage>], ranked: Vec<Fused<Candidate>>, top_k: usize) -> (Vec<Fused<Passage>>, usize) {
        let mut selection = Selection::new(ranked, top_k, &RetrievalParams::default());
        let mut read = 0;
        loop {
            let wanted: HashSet<ChunkId> = selection.wanted().into_iter().map(|one| one.chunk_id).collect();
            if wanted.is_empty() {
                return (selection.finish(), read);
            }
            read += wanted.len();
            let texts = all.iter().filter(|one| wanted.contains(&one.passage.chunk_id));
            selection.supply(texts.map(|one| one.passage.clone()).collect());
        }
    }

    fn ids(fused: &[Fused<Passage>]) -> Vec<u128> {
        fused.iter().map(|one| one.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    fn select(all: &[Fused<Passage>], top_k: usize) -> Vec<u128> {
        ids(&selected(all, candidates(all), top_k).0)
    }

    #[test]
    fn a_page_gives_two_hits_unless_no_other_page_has_any() {
        let many: Vec<Fused<Passage>> = (0..6_u8)
            .map(|n| found(u128::from(n), 1, Some(1), &format!("text {n}"), 0.9 - f32::from(n) / 100.0))
            .collect();
        let mut with_another = many.clone();
        with_another.push(found(9, 1, Some(2), "elsewhere", 0.1));
        assert_eq!(select(&with_another, 3), [0, 1, 9]);
        assert_eq!(select(&many, 5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_copy_is_dropped_and_a_row_that_differs_in_one_number_is_kept() {
        let row = "the tightening torque of the casing bolts of the feedwater pump is 480 newton metres in cold state";
        let ranked = [
            found(1, 1, Some(1), row, 0.9),
            found(2, 2, Some(7), row, 0.8),
            found(3, 1, Some(2), &row.replace("480", "520"), 0.7),
        ];
        assert_eq!(select(&ranked, 5), [1, 3]);
    }

    #[test]
    fn few_texts_are_read_and_more_only_where_duplicates_used_them_up() {
        let texts: Vec<Fused<Passage>> =
            (0..100_u8).map(|n| found(n.into(), n.into(), Some(1), &format!("text {n}"), 0.9)).collect();
        assert_eq!(selected(&texts, candidates(&texts), 5).1, 10);
        let copies: Vec<Fused<Passage>> =
            (0..100_u8).map(|n| found(n.into(), n.into(), Some(1), &format!("text {}", n / 20), 0.9)).collect();
        let (hits, read) = selected(&copies, candidates(&copies), 3);
        assert_eq!((ids(&hits), read), (vec![0, 20, 40], 42));
    }

    #[test]
    fn a_passage_that_is_gone_is_skipped() {
        let all: Vec<Fused<Passage>> =
            (0..9_u8).map(|n| found(n.into(), 1, Some(u32::from(n / 3)), &format!("text {n}"), 0.9)).collect();
        let remaining: Vec<Fused<Passage>> =
            all.iter().filter(|one| !one.passage.chunk_id.as_uuid().as_u128().is_multiple_of(3)).cloned().collect();
        let (hits, _) = selected(&remaining, candidates(&all), 9);
        assert_eq!(ids(&hits), [1, 2, 4, 5, 7, 8]);
        assert_eq!(selected(&[], candidates(&all), 3).0, []);
        assert_eq!(selected(&all, candidates(&all), 0).0, []);
    }

    /// Reference implementation, which has all texts from the start.
    fn reference(ranked: &[Fused<Passage>], top_k: usize) -> Vec<u128> {
        let params = RetrievalParams::default();
        let (mut chosen, mut over_page_limit) = (Vec::<&Fused<Passage>>::new(), Vec::new());
        let mut on_page: HashMap<DocumentPage, usize> = HashMap::new();
        for one in ranked {
            if chosen.len() == top_k {
                break;
            }
            let print = |one: &Fused<Passage>| Fingerprint::new(&one.passage.content);
            if chosen.iter().any(|other| print(one).is_duplicate_of(&print(other), params.duplicate_overlap)) {
                continue;
            }
            let count = on_page.entry(DocumentPage::new(&candidate_of(&one.passage))).or_default();
            if *count < params.per_page {
                *count += 1;
                chosen.push(one);
            } else {
                over_page_limit.push(one);
            }
        }
        let room = top_k - chosen.len();
        let mut hits: Vec<Fused<Passage>> =
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
            let all: Vec<Fused<Passage>> = (0..)
                .zip(&scores)
                .map(|(n, (score, page, text))| found(n, 1, Some(*page), &format!("passage with text {text}"), *score))
                .collect();
            let mut ranked = candidates(&all);
            super::super::fused::sort(&mut ranked);
            let ranked = page_aggregate(ranked, &RetrievalParams::default());
            let position = |id: ChunkId| ranked.iter().position(|one| one.id() == id);
            let mut in_order = all.clone();
            in_order.sort_by_key(|one| position(one.passage.chunk_id));
            for one in &mut in_order {
                one.score = ranked[position(one.passage.chunk_id).expect("all are ranked")].score;
            }
            let (hits, _) = selected(&all, ranked, top_k);
            prop_assert_eq!(ids(&hits), reference(&in_order, top_k));
            prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
            prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
