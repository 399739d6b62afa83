//! What stands around a hit in its document: half a procedure misleads, and a chunk may end in its middle.

use domain::ids::DocumentId;
use domain::ports::{Store, StoreError};
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::search::{Hit, Passage};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// A place in a document: which, and the passage's index.
type Place = (DocumentId, i32);

/// Fewer bytes than this in common are chance, not an overlap of passages.
const LEAST_OVERLAP: usize = 16;

/// Reads what stands around `hits` and gives it to them, in one short transaction.
pub(super) async fn surround(
    store: &dyn Store,
    scope: &TenantScope,
    hits: &mut [Hit],
    clearance: Classification,
) -> Result<(), StoreError> {
    let places = wanted(hits);
    if places.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin(scope).await?;
    let found = tx.chunks().at_positions(&places, clearance).await?;
    tx.commit().await?;
    attach(hits, found);
    Ok(())
}

/// The places of the hits, and those before and after each.
fn wanted(hits: &[Hit]) -> Vec<Place> {
    let around = |hit: &Hit| {
        let Passage { document_id, chunk_index, .. } = hit.passage;
        [-1, 0, 1].map(|step| (document_id, chunk_index.saturating_add(step)))
    };
    let mut places: Vec<Place> = hits.iter().flat_map(around).filter(|(_, index)| *index >= 0).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Gives each hit, best first, its neighbours. A passage is given once, and never where it is a hit itself. A hit
/// that is no longer at its place, since its document was read anew, gets none.
fn attach(hits: &mut [Hit], found: Vec<Passage>) {
    let mut by_place: HashMap<Place, Passage> = found.into_iter().map(|passage| (place(&passage), passage)).collect();
    let taken: HashSet<Place> = hits.iter().map(|hit| place(&hit.passage)).collect();
    let moved = |hit: &Hit| by_place.get(&place(&hit.passage)).is_none_or(|now| now.chunk_id != hit.passage.chunk_id);
    let moved: HashSet<Place> = hits.iter().filter(|hit| moved(hit)).map(|hit| place(&hit.passage)).collect();
    by_place.retain(|place, _| !taken.contains(place));
    for hit in hits.iter_mut().filter(|hit| !moved.contains(&place(&hit.passage))) {
        let (document, index) = place(&hit.passage);
        let mut take = |index: i32| match by_place.entry((document, index)) {
            Entry::Occupied(near) if belongs(near.get(), &hit.passage) => Some(near.remove()),
            _ => None,
        };
        let (before, after) = (take(index.saturating_sub(1)), take(index.saturating_add(1)));
        let content = hit.passage.content.as_str();
        hit.surroundings.before = before.and_then(|near| text(ahead_of(&near.content, content)));
        hit.surroundings.after = after.and_then(|near| text(behind(content, &near.content)));
    }
}

fn place(passage: &Passage) -> Place {
    (passage.document_id, passage.chunk_index)
}

/// Whether `near` may stand beside `hit`: on the same page or the next one, and no more secret.
fn belongs(near: &Passage, hit: &Passage) -> bool {
    let close = match (near.page, hit.page) {
        (Some(one), Some(other)) => one.abs_diff(other) <= 1,
        (None, None) => true,
        _ => false,
    };
    close && near.classification <= hit.classification
}

fn text(part: &str) -> Option<String> {
    Some(part.trim()).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// `before` without the end that `content` repeats.
fn ahead_of<'t>(before: &'t str, content: &str) -> &'t str {
    &before[..before.len() - shared(before, content)]
}

/// `after` without the beginning that it repeats of `content`.
fn behind<'t>(content: &str, after: &'t str) -> &'t str {
    &after[shared(content, after)..]
}

/// Bytes of the longest end of `first` that `second` begins with; 0 where it is too short to be more than chance.
fn shared(first: &str, second: &str) -> usize {
    let starts = first.char_indices().map(|(at, _)| at).filter(|at| first.len() - at <= second.len());
    let longest = starts.map(|at| &first[at..]).find(|end| second.starts_with(end)).map_or(0, str::len);
    if longest < LEAST_OVERLAP { 0 } else { longest }
}

#[cfg(test)]
mod tests {
    use super::super::testing::passage;
    use super::*;
    use domain::search::Surroundings;
    use proptest::prelude::*;

    fn at(index: i32, page: Option<u32>, content: &str) -> Passage {
        Passage { chunk_index: index, ..passage(u128::from(index.unsigned_abs()) + 1, 1, page, content) }
    }

    fn hit(passage: Passage) -> Hit {
        let surroundings = Surroundings::default();
        Hit { passage, score: 1.0, similarity: None, bm25: None, rerank: None, surroundings }
    }

    fn around(hits: &[Hit]) -> Vec<(Option<&str>, Option<&str>)> {
        hits.iter().map(|hit| (hit.surroundings.before.as_deref(), hit.surroundings.after.as_deref())).collect()
    }

    #[test]
    fn a_hit_gets_the_passages_beside_it_and_one_that_is_a_hit_itself_is_not_repeated() {
        let all: Vec<Passage> = (0..6).map(|n| at(n, Some(1), &format!("step {n}"))).collect();
        let mut hits = [hit(all[1].clone()), hit(all[2].clone()), hit(all[4].clone())];
        attach(&mut hits, all);
        assert_eq!(around(&hits), [(Some("step 0"), None), (None, Some("step 3")), (None, Some("step 5"))]);
    }

    #[test]
    fn pages_further_away_and_more_secret_passages_are_left_out() {
        let secret = Passage { classification: Classification::Restricted, ..at(2, Some(7), "secret") };
        let mut hits = [hit(at(1, Some(7), "step 1"))];
        attach(&mut hits, vec![at(0, Some(5), "far away"), at(1, Some(7), "step 1"), secret]);
        assert_eq!(around(&hits), [(None, None)]);
        let mut hits = [hit(at(1, Some(7), "step 1"))];
        attach(&mut hits, vec![at(0, Some(6), "the page before"), at(1, Some(7), "step 1"), at(2, Some(8), "after")]);
        assert_eq!(around(&hits), [(Some("the page before"), Some("after"))]);
    }

    #[test]
    fn a_hit_whose_document_was_read_anew_meanwhile_gets_nothing_of_the_new_text() {
        let mut hits = [hit(at(1, None, "old step 1"))];
        let anew = |index| Passage { chunk_id: at(99, None, "").chunk_id, ..at(index, None, "new") };
        attach(&mut hits, vec![anew(0), anew(1), anew(2)]);
        assert_eq!(around(&hits), [(None, None)]);
    }

    #[test]
    fn what_passages_share_is_shown_once() {
        let mut hits = [hit(at(1, None, "Wait for ten minutes. Open the drain slowly."))];
        let before = at(0, None, "Stop the pump. Wait for ten minutes.");
        let after = at(2, None, "Open the drain slowly. Close it.");
        let found = vec![before, hits[0].passage.clone(), after];
        attach(&mut hits, found);
        assert_eq!(around(&hits), [(Some("Stop the pump."), Some("Close it."))]);
    }

    proptest! {
        #[test]
        fn what_is_left_of_a_neighbour_together_with_the_hit_holds_all_of_both(
            one in "[ab é]{0,40}",
            other in "[ab é]{0,40}",
        ) {
            let joined = format!("{}{other}", ahead_of(&one, &other));
            prop_assert!(joined.starts_with(&one) && joined.ends_with(&other));
            prop_assert_eq!(joined, format!("{one}{}", behind(&one, &other)));
        }
    }
}
