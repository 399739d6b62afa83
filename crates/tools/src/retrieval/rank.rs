//! Selects hits from the fused candidates: rewards pages with several matches, removes duplicates, limits the hits per
//! page.

use super::fused::Fused;
use super::params::RetrievalParams;
use super::words;
use domain::ids::DocumentId;
use domain::search::Passage;
use std::collections::{HashMap, HashSet};

/// Consecutive passages that count as one page in documents without pages and headings: about one printed page.
const PASSAGES_PER_UNPAGED_PAGE: i32 = 4;

/// Adds the page bonus ([`RetrievalParams::second_on_page`]) to the best passage of each page, because a second match
/// makes a page more relevant. Scores are rescaled to 0 to 1. Takes and returns passages sorted best first.
#[must_use]
pub fn page_aggregate(mut fused: Vec<Fused>, params: &RetrievalParams) -> Vec<Fused> {
    let mut pages: HashMap<PageKey, (usize, Option<f32>)> = HashMap::new();
    for (index, one) in fused.iter().enumerate() {
        pages
            .entry(PageKey::new(&one.passage))
            .and_modify(|(_, second)| {
                second.get_or_insert(one.score);
            })
            .or_insert((index, None));
    }
    for (best, second) in pages.into_values() {
        fused[best].score += params.second_on_page * second.unwrap_or_default();
    }
    for one in &mut fused {
        one.score /= 1.0 + params.second_on_page;
    }
    sort(&mut fused);
    fused
}

/// Selects the `top_k` passages to return, best first: no duplicates, and at most [`RetrievalParams::per_page`] per
/// page while other pages have candidates left.
#[must_use]
pub fn select(ranked: Vec<Fused>, top_k: usize, params: &RetrievalParams) -> Vec<Fused> {
    let mut chosen: Vec<(Fused, Fingerprint)> = Vec::with_capacity(top_k);
    let mut over_page_limit = Vec::new();
    let mut on_page: HashMap<PageKey, usize> = HashMap::new();
    for one in ranked {
        if chosen.len() == top_k {
            break;
        }
        let fingerprint = Fingerprint::new(&one.passage.content);
        if chosen.iter().any(|(_, other)| fingerprint.is_duplicate_of(other, params.duplicate_overlap)) {
            continue;
        }
        let count = on_page.entry(PageKey::new(&one.passage)).or_default();
        if *count < params.per_page {
            *count += 1;
            chosen.push((one, fingerprint));
        } else {
            over_page_limit.push(one);
        }
    }
    let mut hits: Vec<Fused> = chosen.into_iter().map(|(one, _)| one).collect();
    let room = top_k - hits.len();
    hits.extend(over_page_limit.into_iter().take(room));
    sort(&mut hits);
    hits
}

fn sort(fused: &mut [Fused]) {
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.chunk_id.cmp(&b.passage.chunk_id)));
}

/// Identifies a page of a document. In documents without pages, the text under one heading counts as a page; without
/// headings, each run of [`PASSAGES_PER_UNPAGED_PAGE`] passages.
#[derive(PartialEq, Eq, Hash)]
enum PageKey {
    Page(DocumentId, u32),
    Section(DocumentId, String),
    Run(DocumentId, i32),
}

impl PageKey {
    fn new(passage: &Passage) -> Self {
        let document = passage.document_id;
        match (passage.page, &passage.section) {
            (Some(page), _) => Self::Page(document, page),
            (None, Some(section)) => Self::Section(document, section.clone()),
            (None, None) => Self::Run(document, passage.chunk_index / PASSAGES_PER_UNPAGED_PAGE),
        }
    }
}

/// Detects duplicates by word trigrams and by the words that contain digits, so that table rows which differ only in a
/// value or a tag count as different.
struct Fingerprint {
    trigrams: HashSet<[String; 3]>,
    words_with_digits: HashSet<String>,
}

impl Fingerprint {
    fn new(content: &str) -> Self {
        let words: Vec<String> = words::tokens(content).collect();
        let has_digit = |word: &&String| word.chars().any(|c| c.is_ascii_digit());
        let trigram = |at: usize| std::array::from_fn(|offset| words.get(at + offset).cloned().unwrap_or_default());
        Self {
            trigrams: (0..words.len().saturating_sub(2).max(1)).map(trigram).collect(),
            words_with_digits: words.iter().filter(has_digit).cloned().collect(),
        }
    }

    fn is_duplicate_of(&self, other: &Self, overlap: f32) -> bool {
        let shared = self.trigrams.intersection(&other.trigrams).count();
        let all = self.trigrams.len() + other.trigrams.len() - shared;
        shared as f32 >= overlap * all as f32 && self.words_with_digits == other.words_with_digits
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::passage;
    use super::*;
    use proptest::prelude::*;

    fn fused(id: u128, document: u128, page: Option<u32>, text: &str, score: f32) -> Fused {
        Fused {
            passage: passage(id, document, page, text),
            score,
            similarity: Some(score),
            bm25: None,
            bm25_share: None,
        }
    }

    fn ids(fused: &[Fused]) -> Vec<u128> {
        fused.iter().map(|one| one.passage.chunk_id.as_uuid().as_u128()).collect()
    }

    #[test]
    fn a_page_with_two_good_passages_overtakes_one_with_a_single_slightly_better_passage() {
        let ranked = page_aggregate(
            vec![
                fused(1, 1, Some(1), "alone", 0.80),
                fused(2, 1, Some(2), "first", 0.78),
                fused(3, 1, Some(2), "second", 0.70),
                fused(4, 1, Some(2), "third", 0.60),
            ],
            &RetrievalParams::default(),
        );
        assert_eq!(ids(&ranked), [2, 1, 3, 4]);
        assert!((ranked[0].score - (0.78 + 0.15 * 0.70) / 1.15).abs() < 1e-6);
    }

    #[test]
    fn a_page_gives_two_hits_unless_no_other_page_has_any() {
        let many: Vec<Fused> = (0..6_u8)
            .map(|n| fused(u128::from(n), 1, Some(1), &format!("text {n}"), 0.9 - f32::from(n) / 100.0))
            .collect();
        let mut with_another = many.clone();
        with_another.push(fused(9, 1, Some(2), "elsewhere", 0.1));
        let params = RetrievalParams::default();
        assert_eq!(ids(&select(with_another, 3, &params)), [0, 1, 9]);
        assert_eq!(ids(&select(many, 5, &params)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_copy_is_dropped_and_a_row_that_differs_in_one_number_is_kept() {
        let row = "the tightening torque of the casing bolts of the feedwater pump is 480 newton metres in cold state";
        let ranked = vec![
            fused(1, 1, Some(1), row, 0.9),
            fused(2, 2, Some(7), row, 0.8),
            fused(3, 1, Some(2), &row.replace("480", "520"), 0.7),
        ];
        assert_eq!(ids(&select(ranked, 5, &RetrievalParams::default())), [1, 3]);
    }

    #[test]
    fn without_pages_a_heading_is_a_page_and_without_headings_a_run_of_passages_is() {
        let at = |index: i32, section: Option<&str>| {
            let mut one = passage(1, 1, None, "text");
            one.chunk_index = index;
            one.section = section.map(str::to_owned);
            one
        };
        assert!(PageKey::new(&at(0, Some("a"))) == PageKey::new(&at(9, Some("a"))));
        assert!(PageKey::new(&at(0, Some("a"))) != PageKey::new(&at(1, Some("b"))));
        assert!(PageKey::new(&at(0, None)) == PageKey::new(&at(3, None)));
        assert!(PageKey::new(&at(3, None)) != PageKey::new(&at(4, None)));
    }

    proptest! {
        #[test]
        fn hits_are_distinct_sorted_scored_from_0_to_1_and_as_many_as_there_are(
            scores in proptest::collection::vec((0.0_f32..=1.0, 1_u32..5), 0..40),
            top_k in 1_usize..20,
        ) {
            let mut all: Vec<Fused> = scores
                .iter()
                .enumerate()
                .map(|(n, (score, page))| fused(n as u128, 1, Some(*page), &format!("passage number {n}"), *score))
                .collect();
            sort(&mut all);
            let params = RetrievalParams::default();
            let hits = select(page_aggregate(all, &params), top_k, &params);
            prop_assert_eq!(hits.len(), top_k.min(scores.len()));
            prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
            prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let distinct: HashSet<u128> = ids(&hits).into_iter().collect();
            prop_assert_eq!(distinct.len(), hits.len());
        }
    }
}
