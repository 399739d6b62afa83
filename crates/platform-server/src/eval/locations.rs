//! Locations of passages, and scores of a ranked list of locations. No I/O.
//!
//! Scores rank locations rather than passages: if three passages of a page are found, the page counts once, at the rank
//! of the first. In formats without pages the location is the section.

use serde::Serialize;

/// Number of top-ranked locations that nDCG covers.
const NDCG_DEPTH: usize = 10;
/// Number of top-ranked locations that recall covers.
const RECALL_DEPTH: usize = 5;

/// A page of a document, or a section if the format has no pages.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Location {
    /// File name of the document.
    pub doc: String,
    /// Page in the file, from 1.
    pub page: Option<u32>,
    /// Heading path of the section; `None` if there is a page.
    pub section: Option<String>,
}

impl Location {
    /// The location of a passage; the section is dropped if there is a page.
    #[must_use]
    pub fn new(doc: &str, page: Option<u32>, section: Option<&str>) -> Self {
        let section = if page.is_some() { None } else { section.map(str::to_owned) };
        Self { doc: doc.to_owned(), page, section }
    }
}

/// An expected location of an answer. Without a page, it matches every location of the document whose heading path
/// contains the section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExpectedLocation(pub Location);

impl ExpectedLocation {
    /// Whether a found location is this expected one.
    #[must_use]
    pub fn matches(&self, location: &Location) -> bool {
        let Self(expected) = self;
        let page_matches = expected.page.is_none_or(|page| location.page == Some(page));
        // Sections are compared only in formats without pages.
        let section_matches = expected.page.is_some()
            || expected.section.as_deref().is_none_or(|section| {
                location.page.is_some() || location.section.as_deref().is_some_and(|path| path.contains(section))
            });
        expected.doc == location.doc && page_matches && section_matches
    }
}

/// Scores of one ranked list, each from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RankingScores {
    /// Normalized discounted cumulative gain of the first ten locations, with gains of 0 and 1 (Järvelin and
    /// Kekäläinen, ACM TOIS 2002).
    pub ndcg10: f64,
    /// Share of the expected locations that are among the first five.
    pub recall5: f64,
    /// 1 / rank of the first expected location; 0 if none was found.
    pub reciprocal_rank: f64,
    /// 1 if the first location is expected, else 0.
    pub hit1: f64,
    /// 1 if any of the first five locations is expected, else 0.
    pub hit5: f64,
    /// Share of the expected documents that the first five locations belong to.
    pub document_recall5: f64,
}

/// Removes repeated locations; each keeps its first rank.
#[must_use]
pub fn deduplicate(locations: impl IntoIterator<Item = Location>) -> Vec<Location> {
    let mut unique = std::collections::HashSet::new();
    locations.into_iter().filter(|location| unique.insert(location.clone())).collect()
}

/// Scores distinct locations, best first. `expected` must not be empty.
#[must_use]
pub fn score_ranking(ranked: &[Location], expected: &[ExpectedLocation]) -> RankingScores {
    let gains = gains(ranked, expected);
    let matches_in_first = |depth: usize| gains.iter().take(depth).filter(|gain| **gain).count() as f64;
    let rank = gains.iter().position(|gain| *gain);
    RankingScores {
        ndcg10: dcg(&gains) / dcg(&vec![true; expected.len().min(NDCG_DEPTH)]),
        recall5: matches_in_first(RECALL_DEPTH) / expected.len() as f64,
        reciprocal_rank: rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        hit1: matches_in_first(1),
        hit5: matches_in_first(RECALL_DEPTH).min(1.0),
        document_recall5: document_recall(ranked, expected),
    }
}

/// For each location, whether it matches an expected location that no earlier one has matched.
fn gains(ranked: &[Location], expected: &[ExpectedLocation]) -> Vec<bool> {
    let mut unmatched: Vec<&ExpectedLocation> = expected.iter().collect();
    let mut is_new_match = |location: &Location| {
        let found = unmatched.iter().position(|expected| expected.matches(location));
        found.map(|index| unmatched.swap_remove(index)).is_some()
    };
    ranked.iter().map(&mut is_new_match).collect()
}

/// Discounted cumulative gain of the first [`NDCG_DEPTH`] locations.
fn dcg(gains: &[bool]) -> f64 {
    let gain = |(rank, gain): (usize, &bool)| f64::from(u8::from(*gain)) / (rank as f64 + 2.0).log2();
    gains.iter().take(NDCG_DEPTH).enumerate().map(gain).sum()
}

fn document_recall(ranked: &[Location], expected: &[ExpectedLocation]) -> f64 {
    let expected_documents: std::collections::HashSet<&str> =
        expected.iter().map(|ExpectedLocation(location)| location.doc.as_str()).collect();
    let found =
        expected_documents.iter().filter(|doc| ranked.iter().take(RECALL_DEPTH).any(|location| location.doc == **doc));
    found.count() as f64 / expected_documents.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(doc: &str, page: u32) -> Location {
        Location::new(doc, Some(page), None)
    }

    fn expected_locations(locations: &[Location]) -> Vec<ExpectedLocation> {
        locations.iter().cloned().map(ExpectedLocation).collect()
    }

    fn assert_close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn ndcg_and_recall_match_values_computed_by_hand() {
        let ranked = [page("a", 9), page("a", 1), page("b", 1), page("a", 2)];
        let scores = score_ranking(&ranked, &expected_locations(&[page("a", 1), page("a", 2), page("c", 7)]));
        // Gains at ranks 2 and 4: 1/log2(3) + 1/log2(5); ideal 1/log2(2) + 1/log2(3) + 1/log2(4).
        assert_close(scores.ndcg10, (0.630_929_753_571 + 0.430_676_558_073) / (1.0 + 0.630_929_753_571 + 0.5));
        assert_close(scores.recall5, 2.0 / 3.0);
        assert_close(scores.reciprocal_rank, 0.5);
        assert_eq!((scores.hit1, scores.hit5, scores.document_recall5), (0.0, 1.0, 0.5));
    }

    #[test]
    fn ranks_below_the_depths_do_not_count() {
        let ranked: Vec<Location> = (1..=12).map(|number| page("a", number)).collect();
        let sixth = score_ranking(&ranked, &expected_locations(&[page("a", 6)]));
        assert_close(sixth.ndcg10, 1.0 / 7.0_f64.log2());
        assert_eq!((sixth.recall5, sixth.hit5), (0.0, 0.0));
        assert_close(sixth.reciprocal_rank, 1.0 / 6.0);
        let eleventh = score_ranking(&ranked, &expected_locations(&[page("a", 11)]));
        assert_eq!(eleventh.ndcg10, 0.0);
        assert_close(eleventh.reciprocal_rank, 1.0 / 11.0);
        let none = score_ranking(&[], &expected_locations(&[page("a", 1)]));
        assert_eq!((none.ndcg10, none.reciprocal_rank, none.document_recall5), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_perfect_list_of_more_than_ten_locations_scores_1() {
        let ranked: Vec<Location> = (1..=12).map(|number| page("a", number)).collect();
        assert_close(score_ranking(&ranked, &expected_locations(&ranked)).ndcg10, 1.0);
    }

    #[test]
    fn a_location_counts_once_with_several_passages() {
        let list = deduplicate([page("a", 1), page("a", 1), page("b", 1), page("a", 1)]);
        assert_eq!(list, [page("a", 1), page("b", 1)]);
        let whole_document = [ExpectedLocation(Location::new("a", None, None))];
        let sections = [Location::new("a", None, Some("1")), Location::new("a", None, Some("2"))];
        assert_close(score_ranking(&sections, &whole_document).ndcg10, 1.0);
    }

    #[test]
    fn a_section_is_found_by_its_heading_path() {
        let expected = ExpectedLocation(Location::new("a", None, Some("5 Locking out")));
        assert!(expected.matches(&Location::new("a", None, Some("Procedure > 5 Locking out in eight steps"))));
        assert!(!expected.matches(&Location::new("a", None, Some("6 Removal"))));
        assert!(!expected.matches(&Location::new("a", None, None)));
        assert!(!expected.matches(&Location::new("b", None, Some("5 Locking out"))));
        // In formats with pages the section is ignored.
        let expected_page = ExpectedLocation(Location { doc: "a".into(), page: Some(2), section: Some("Oil".into()) });
        assert!(expected_page.matches(&page("a", 2)) && !expected_page.matches(&page("a", 3)));
    }
}
