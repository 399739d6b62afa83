//! The hybrid search against a store.

use super::support::Plant;
use domain::role::{Classification, Role};
use domain::search::{SearchFilters, SearchScope};
use std::sync::atomic::Ordering;

fn everything() -> SearchScope {
    SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted }
}

const BOLTS: &str = "The casing tie bolts of P-101A/B are tightened to 480 Nm in three passes.";
const STRAINER: &str = "Clean the suction strainer when its differential pressure exceeds 0.25 bar.";
const LEAVE: &str = "Visitors report to the gate house and wear a helmet.";

#[tokio::test]
async fn the_passage_that_answers_comes_first_with_its_page_and_both_scores() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    plant.document(&permit, "manual.pdf", Classification::Internal, &[LEAVE, STRAINER, BOLTS]).await;
    let query = "To what torque are the casing tie bolts of P-101A tightened?";
    let found = plant.search().search(permit.scope(), query, &everything(), 2).await.expect("hits");
    let best = &found.hits[0];
    assert_eq!((best.passage.content.as_str(), best.passage.page), (BOLTS, Some(3)));
    assert!(best.similarity.is_some() && best.bm25.is_some());
    assert!(found.hits[1].score < best.score && best.score <= 1.0);
    assert!(found.answerable && !found.degraded);
}

#[tokio::test]
async fn a_tag_that_stands_nowhere_is_not_answerable() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    plant.document(&permit, "manual.pdf", Classification::Internal, &[LEAVE, STRAINER, BOLTS]).await;
    let query = "To what torque are the casing tie bolts of P-999Z tightened?";
    let found = plant.search().search(permit.scope(), query, &everything(), 5).await.expect("hits");
    assert!(!found.hits.is_empty() && !found.answerable);
}

#[tokio::test]
async fn with_the_embedder_down_the_words_answer_and_the_result_says_so() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::User).await;
    plant.document(&permit, "manual.pdf", Classification::Internal, &[LEAVE, STRAINER, BOLTS]).await;
    plant.embedder.down.store(true, Ordering::Relaxed);
    let query = "When is the suction strainer to be cleaned?";
    let found = plant.search().search(permit.scope(), query, &everything(), 5).await.expect("hits");
    assert!(found.degraded && found.answerable);
    assert_eq!(found.hits[0].passage.content, STRAINER);
    assert_eq!(found.hits[0].similarity, None);
}

#[tokio::test]
async fn filters_and_clearance_bound_what_is_found() {
    let plant = Plant::new().await;
    let permit = plant.permit(Role::Admin).await;
    let open = plant.document(&permit, "open.pdf", Classification::Internal, &[STRAINER]).await;
    let secret = plant.document(&permit, "secret.pdf", Classification::Restricted, &[BOLTS]).await;
    let documents = |ids: Vec<_>, clearance| SearchScope {
        filters: SearchFilters { document_ids: ids, ..SearchFilters::default() },
        clearance,
    };
    for (scope, expected) in [
        (documents(vec![], Classification::Restricted), vec![open.id, secret.id]),
        (documents(vec![], Classification::Internal), vec![open.id]),
        (documents(vec![secret.id], Classification::Restricted), vec![secret.id]),
        (documents(vec![secret.id], Classification::Internal), vec![]),
    ] {
        let found = plant.search().search(permit.scope(), "suction bolts", &scope, 5).await.expect("hits");
        let mut ids: Vec<_> = found.hits.iter().map(|hit| hit.passage.document_id).collect();
        ids.sort();
        assert_eq!(ids, expected, "{scope:?}");
    }
}
