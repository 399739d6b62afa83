//! Adds the text before and after each hit, because a chunk may end in the middle of a procedure.

use domain::ids::DocumentId;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use domain::search::{Hit, Passage};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// The document of a passage and its `chunk_index`.
pub(super) type Position = (DocumentId, i32);

/// Minimum overlap of two chunks, in bytes; a shorter one is treated as coincidence.
const MIN_OVERLAP: usize = 16;

/// Loads the neighbors of `hits` and adds them.
pub(super) async fn load_and_attach(
    tx: &mut dyn TenantTx,
    hits: &mut [Hit],
    clearance: Classification,
) -> Result<(), StoreError> {
    let positions = positions_around(hits.iter().map(|hit| position(&hit.passage)));
    if !positions.is_empty() {
        attach(hits, tx.chunks().get_by_positions(&positions, clearance).await?);
    }
    Ok(())
}

/// Adds neighbors that were read together with the texts of `hits`.
pub(super) fn attach_read_together(hits: &mut [Hit], mut neighbors: Vec<Passage>) {
    neighbors.extend(hits.iter().map(|hit| hit.passage.clone()));
    attach(hits, neighbors);
}

/// Returns these positions and those directly before and after each, sorted and without duplicates.
pub(super) fn positions_around(positions: impl Iterator<Item = Position>) -> Vec<Position> {
    let beside = |(document, index): Position| [-1, 0, 1].map(|step| (document, index.saturating_add(step)));
    let mut positions: Vec<Position> = positions.flat_map(beside).filter(|(_, index)| *index >= 0).collect();
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// Adds neighbors to the hits, in the order of the hits. Each passage is added to one hit only, and not at all if it
/// is a hit itself. A hit whose document was reindexed since the search gets none.
fn attach(hits: &mut [Hit], found: Vec<Passage>) {
    let mut neighbors: HashMap<Position, Passage> =
        found.into_iter().map(|passage| (position(&passage), passage)).collect();
    let hit_positions: HashSet<Position> = hits.iter().map(|hit| position(&hit.passage)).collect();
    let was_reindexed = |hit: &Hit| {
        neighbors.get(&position(&hit.passage)).is_none_or(|current| current.chunk_id != hit.passage.chunk_id)
    };
    let reindexed: HashSet<Position> =
        hits.iter().filter(|hit| was_reindexed(hit)).map(|hit| position(&hit.passage)).collect();
    neighbors.retain(|position, _| !hit_positions.contains(position));
    for hit in hits.iter_mut().filter(|hit| !reindexed.contains(&position(&hit.passage))) {
        let (document, index) = position(&hit.passage);
        let mut take_neighbor = |index: i32| match neighbors.entry((document, index)) {
            Entry::Occupied(neighbor) if may_accompany(neighbor.get(), &hit.passage) => Some(neighbor.remove()),
            _ => None,
        };
        let (before, after) = (take_neighbor(index.saturating_sub(1)), take_neighbor(index.saturating_add(1)));
        let content = hit.passage.content.as_str();
        hit.surrounding_text.before =
            before.and_then(|neighbor| non_empty_text(without_overlapping_end(&neighbor.content, content)));
        hit.surrounding_text.after =
            after.and_then(|neighbor| non_empty_text(without_overlapping_start(content, &neighbor.content)));
    }
}

fn position(passage: &Passage) -> Position {
    (passage.document_id, passage.chunk_index)
}

/// Whether `neighbor` may be shown with `hit`: on the same or an adjacent page, and classified no higher.
fn may_accompany(neighbor: &Passage, hit: &Passage) -> bool {
    let is_close = match (neighbor.page, hit.page) {
        (Some(one), Some(other)) => one.abs_diff(other) <= 1,
        (None, None) => true,
        _ => false,
    };
    is_close && neighbor.classification <= hit.classification
}

fn non_empty_text(part: &str) -> Option<String> {
    Some(part.trim()).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// `before` without the end that overlaps the start of `content`.
fn without_overlapping_end<'t>(before: &'t str, content: &str) -> &'t str {
    &before[..before.len() - overlap(before, content)]
}

/// `after` without the start that overlaps the end of `content`.
fn without_overlapping_start<'t>(content: &str, after: &'t str) -> &'t str {
    &after[overlap(content, after)..]
}

/// Length in bytes of the longest suffix of `first` that is a prefix of `second`; 0 if shorter than [`MIN_OVERLAP`].
fn overlap(first: &str, second: &str) -> usize {
    let starts = first.char_indices().map(|(at, _)| at).filter(|at| first.len() - at <= second.len());
    let longest = starts.map(|at| &first[at..]).find(|end| second.starts_with(end)).map_or(0, str::len);
    if longest < MIN_OVERLAP { 0 } else { longest }
}

#[cfg(test)]
mod tests {
    use super::super::testing::passage;
    use super::*;
    use domain::search::SurroundingText;
    use proptest::prelude::*;

    fn passage_at(index: i32, page: Option<u32>, content: &str) -> Passage {
        Passage { chunk_index: index, ..passage(u128::from(index.unsigned_abs()) + 1, 1, page, content) }
    }

    fn hit(passage: Passage) -> Hit {
        let surroundings = SurroundingText::default();
        Hit {
            passage,
            score: 1.0,
            similarity: None,
            bm25: None,
            rerank_score: None,
            surrounding_text: surroundings,
            explanation: None,
        }
    }

    fn surroundings(hits: &[Hit]) -> Vec<(Option<&str>, Option<&str>)> {
        hits.iter().map(|hit| (hit.surrounding_text.before.as_deref(), hit.surrounding_text.after.as_deref())).collect()
    }

    #[test]
    fn a_hit_gets_its_neighbors_except_those_that_are_hits_themselves() {
        let all: Vec<Passage> = (0..6).map(|n| passage_at(n, Some(1), &format!("step {n}"))).collect();
        let mut hits = [hit(all[1].clone()), hit(all[2].clone()), hit(all[4].clone())];
        attach(&mut hits, all);
        assert_eq!(surroundings(&hits), [(Some("step 0"), None), (None, Some("step 3")), (None, Some("step 5"))]);
    }

    #[test]
    fn distant_pages_and_higher_classified_passages_are_left_out() {
        let secret = Passage { classification: Classification::Restricted, ..passage_at(2, Some(7), "secret") };
        let mut hits = [hit(passage_at(1, Some(7), "step 1"))];
        attach(&mut hits, vec![passage_at(0, Some(5), "far away"), passage_at(1, Some(7), "step 1"), secret]);
        assert_eq!(surroundings(&hits), [(None, None)]);
        let mut hits = [hit(passage_at(1, Some(7), "step 1"))];
        attach(
            &mut hits,
            vec![
                passage_at(0, Some(6), "the page before"),
                passage_at(1, Some(7), "step 1"),
                passage_at(2, Some(8), "after"),
            ],
        );
        assert_eq!(surroundings(&hits), [(Some("the page before"), Some("after"))]);
    }

    #[test]
    fn a_hit_whose_document_was_reindexed_since_the_search_gets_no_neighbors() {
        let mut hits = [hit(passage_at(1, None, "old step 1"))];
        let reindexed =
            |index| Passage { chunk_id: passage_at(99, None, "").chunk_id, ..passage_at(index, None, "new") };
        attach(&mut hits, vec![reindexed(0), reindexed(1), reindexed(2)]);
        assert_eq!(surroundings(&hits), [(None, None)]);
    }

    #[test]
    fn overlapping_text_is_shown_once() {
        let mut hits = [hit(passage_at(1, None, "Wait for ten minutes. Open the drain slowly."))];
        let before = passage_at(0, None, "Stop the pump. Wait for ten minutes.");
        let after = passage_at(2, None, "Open the drain slowly. Close it.");
        let found = vec![before, hits[0].passage.clone(), after];
        attach(&mut hits, found);
        assert_eq!(surroundings(&hits), [(Some("Stop the pump."), Some("Close it."))]);
    }

    proptest! {
        #[test]
        fn a_hit_and_the_rest_of_its_neighbor_contain_all_text_of_both(
            one in "[ab é]{0,40}",
            other in "[ab é]{0,40}",
        ) {
            let joined = format!("{}{other}", without_overlapping_end(&one, &other));
            prop_assert!(joined.starts_with(&one) && joined.ends_with(&other));
            prop_assert_eq!(joined, format!("{one}{}", without_overlapping_start(&one, &other)));
        }
    }
}
