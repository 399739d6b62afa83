//! Where passages stand, and how well a ranked list of places hits those that are right. Pure functions.
//!
//! What is ranked are places, not passages: a page that is found by three of its passages counts once, at the rank of
//! the first. In formats without pages the section is the place.

use serde::Serialize;

/// How many places from the top nDCG looks at.
const NDCG_DEPTH: usize = 10;
/// How many places from the top recall looks at.
const RECALL_DEPTH: usize = 5;

/// A page of a document; the section where the format has no pages.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Place {
    /// File name.
    pub doc: String,
    /// Page in the file, from 1.
    pub page: Option<u32>,
    /// Heading path.
    pub section: Option<String>,
}

impl Place {
    /// The place of a passage.
    #[must_use]
    pub fn of(doc: &str, page: Option<u32>, section: Option<&str>) -> Self {
        let section = if page.is_some() { None } else { section.map(str::to_owned) };
        Self { doc: doc.to_owned(), page, section }
    }
}

/// A place where an answer stands. Without a page any place of the document is right, or any whose heading path
/// contains the section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Expected(pub Place);

impl Expected {
    /// Whether this place is the one.
    #[must_use]
    pub fn is_at(&self, place: &Place) -> bool {
        let Self(wanted) = self;
        let page_fits = wanted.page.is_none_or(|page| place.page == Some(page));
        // Sections are only told apart where there are no pages.
        let section_fits = wanted.page.is_some()
            || wanted.section.as_deref().is_none_or(|section| {
                place.page.is_some() || place.section.as_deref().is_some_and(|path| path.contains(section))
            });
        wanted.doc == place.doc && page_fits && section_fits
    }
}

/// How well one ranked list hits, each from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Hits {
    /// Normalized discounted cumulative gain of the first ten places, with gains of 0 and 1 (Järvelin and Kekäläinen,
    /// ACM TOIS 2002).
    pub ndcg10: f64,
    /// Share of the expected places among the first five.
    pub recall5: f64,
    /// 1 / rank of the first expected place; 0 where there is none.
    pub reciprocal_rank: f64,
    /// Whether the first place is expected.
    pub hit1: f64,
    /// Whether any of the first five is.
    pub hit5: f64,
    /// Share of the expected documents among those of the first five places.
    pub document_recall5: f64,
}

/// Each place once, at its first rank.
#[must_use]
pub fn distinct(places: impl IntoIterator<Item = Place>) -> Vec<Place> {
    let mut seen = std::collections::HashSet::new();
    places.into_iter().filter(|place| seen.insert(place.clone())).collect()
}

/// Weighs distinct places, best first, against the expected ones, of which there is at least one.
#[must_use]
pub fn weigh(ranked: &[Place], expected: &[Expected]) -> Hits {
    let gains = gains(ranked, expected);
    let in_first = |depth: usize| gains.iter().take(depth).filter(|gain| **gain).count() as f64;
    let rank = gains.iter().position(|gain| *gain);
    Hits {
        ndcg10: discounted(&gains) / discounted(&vec![true; expected.len().min(NDCG_DEPTH)]),
        recall5: in_first(RECALL_DEPTH) / expected.len() as f64,
        reciprocal_rank: rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        hit1: in_first(1),
        hit5: in_first(RECALL_DEPTH).min(1.0),
        document_recall5: document_recall(ranked, expected),
    }
}

/// Which places hit an expected one that none before them hit.
fn gains(ranked: &[Place], expected: &[Expected]) -> Vec<bool> {
    let mut open: Vec<&Expected> = expected.iter().collect();
    let mut hit = |place: &Place| {
        let found = open.iter().position(|expected| expected.is_at(place));
        found.map(|at| open.swap_remove(at)).is_some()
    };
    ranked.iter().map(&mut hit).collect()
}

fn discounted(gains: &[bool]) -> f64 {
    let gain = |(rank, gain): (usize, &bool)| f64::from(u8::from(*gain)) / (rank as f64 + 2.0).log2();
    gains.iter().take(NDCG_DEPTH).enumerate().map(gain).sum()
}

fn document_recall(ranked: &[Place], expected: &[Expected]) -> f64 {
    let wanted: std::collections::HashSet<&str> = expected.iter().map(|Expected(place)| place.doc.as_str()).collect();
    let found = wanted.iter().filter(|doc| ranked.iter().take(RECALL_DEPTH).any(|place| place.doc == **doc));
    found.count() as f64 / wanted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(doc: &str, page: u32) -> Place {
        Place::of(doc, Some(page), None)
    }

    fn expect(places: &[Place]) -> Vec<Expected> {
        places.iter().cloned().map(Expected).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn ndcg_and_recall_are_as_computed_by_hand() {
        let ranked = [page("a", 9), page("a", 1), page("b", 1), page("a", 2)];
        let hits = weigh(&ranked, &expect(&[page("a", 1), page("a", 2), page("c", 7)]));
        // Gains at ranks 2 and 4: 1/log2(3) + 1/log2(5); ideal 1/log2(2) + 1/log2(3) + 1/log2(4).
        close(hits.ndcg10, (0.630_929_753_571 + 0.430_676_558_073) / (1.0 + 0.630_929_753_571 + 0.5));
        close(hits.recall5, 2.0 / 3.0);
        close(hits.reciprocal_rank, 0.5);
        assert_eq!((hits.hit1, hits.hit5, hits.document_recall5), (0.0, 1.0, 0.5));
    }

    #[test]
    fn what_stands_below_the_depths_does_not_count() {
        let ranked: Vec<Place> = (1..=12).map(|number| page("a", number)).collect();
        let sixth = weigh(&ranked, &expect(&[page("a", 6)]));
        close(sixth.ndcg10, 1.0 / 7.0_f64.log2());
        assert_eq!((sixth.recall5, sixth.hit5), (0.0, 0.0));
        close(sixth.reciprocal_rank, 1.0 / 6.0);
        let eleventh = weigh(&ranked, &expect(&[page("a", 11)]));
        assert_eq!(eleventh.ndcg10, 0.0);
        close(eleventh.reciprocal_rank, 1.0 / 11.0);
        let none = weigh(&[], &expect(&[page("a", 1)]));
        assert_eq!((none.ndcg10, none.reciprocal_rank, none.document_recall5), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_perfect_list_of_more_than_ten_places_has_1() {
        let ranked: Vec<Place> = (1..=12).map(|number| page("a", number)).collect();
        close(weigh(&ranked, &expect(&ranked)).ndcg10, 1.0);
    }

    #[test]
    fn a_place_counts_once_however_many_of_its_passages_are_found() {
        let list = distinct([page("a", 1), page("a", 1), page("b", 1), page("a", 1)]);
        assert_eq!(list, [page("a", 1), page("b", 1)]);
        let anywhere = [Expected(Place::of("a", None, None))];
        let sections = [Place::of("a", None, Some("1")), Place::of("a", None, Some("2"))];
        close(weigh(&sections, &anywhere).ndcg10, 1.0);
    }

    #[test]
    fn a_section_is_found_by_its_heading_path() {
        let expected = Expected(Place::of("a", None, Some("5 Locking out")));
        assert!(expected.is_at(&Place::of("a", None, Some("Procedure > 5 Locking out in eight steps"))));
        assert!(!expected.is_at(&Place::of("a", None, Some("6 Removal"))));
        assert!(!expected.is_at(&Place::of("a", None, None)));
        assert!(!expected.is_at(&Place::of("b", None, Some("5 Locking out"))));
        // Where there are pages the section is not asked for.
        let of_page = Expected(Place { doc: "a".into(), page: Some(2), section: Some("Oil".into()) });
        assert!(of_page.is_at(&page("a", 2)) && !of_page.is_at(&page("a", 3)));
    }
}
