//! Tests the reindexing of a tenant with the next embedding model.

use super::support::{Plant, WordEmbedder, upload};
use chrono::TimeDelta;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{Clock as _, Embedders, JobQueue, LeasedJob, Store, Work};
use domain::role::{Classification, Role};
use domain::scope::Actor;
use domain::search::{SearchFilters, SearchScope};
use domain::upload::UploadOutcome;
use futures::future::FutureExt;
use std::sync::Arc;
use tools::ingest::IngestSettings;
use tools::ingest::accept::{Ingest, JobEnd};

const NEXT: &str = "next";

/// A plant that switches from the model `words` to another one, and the other model.
async fn switching() -> (Plant, Arc<WordEmbedder>) {
    let mut plant = Plant::new().await;
    let next = Arc::new(WordEmbedder::named(NEXT));
    plant.embedders = Some(Embedders { current: Arc::clone(&plant.embedder) as _, next: Some(Arc::clone(&next) as _) });
    (plant, next)
}

/// Ingests a document with the tenant's current model.
async fn ingested(plant: &Plant, name: &str) -> Document {
    let permit = plant.permit(Role::Admin).await;
    let ingest = plant.ingest(IngestSettings::default());
    let text = format!("# {name}\n\nOpen the valve of {name} slowly and watch the pressure.\n");
    let UploadOutcome::Created(document) =
        ingest.accept(&permit, upload(name, text.as_bytes())).await.expect("accepted")
    else {
        panic!("the document exists already");
    };
    assert_eq!(ingest.process(&plant.claim().await).await.expect("processed"), JobEnd::Ready);
    document
}

async fn reindex(plant: &Plant) -> (LeasedJob, JobEnd) {
    assert_eq!(plant.store.enqueue_reindex().await.expect("queued"), 1);
    let job = plant.claim().await;
    assert_eq!(job.work, Work::Reindex);
    let end = plant.ingest(IngestSettings::default()).process(&job).await.expect("processed");
    (job, end)
}

/// Returns the tenant's model, and the documents that have no chunks of the next model.
async fn models(plant: &Plant) -> (Option<String>, Vec<DocumentId>) {
    let mut tx = plant.store.begin(&plant.scope(Actor::Worker)).await.expect("a transaction");
    let in_use = tx.chunks().model_in_use().await.expect("a model");
    (in_use, tx.chunks().unstaged(NEXT, 9).await.expect("documents"))
}

/// Whether vector search finds a document.
async fn is_found_by_meaning(plant: &Plant, name: &str) -> bool {
    let within = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
    let scope = plant.permit(Role::Admin).await.scope().clone();
    let found = plant.search().search(&scope, "open the valve", &within, 5).await.expect("a search");
    found.hits.iter().any(|hit| hit.passage.doc == name && hit.similarity.is_some())
}

/// Checks that each intent has one outcome.
async fn assert_recorded(plant: &Plant) {
    let rows = plant.audit().await;
    let (intents, outcomes): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.id.as_uuid() == row.correlation_id);
    assert_eq!(intents.len(), outcomes.len());
}

#[tokio::test]
async fn a_tenant_is_switched_to_the_next_model_and_stays_with_it() {
    let (plant, _next) = switching().await;
    let first = ingested(&plant, "first.md").await;
    let second = ingested(&plant, "second.md").await;
    assert_eq!(models(&plant).await, (Some("words".to_owned()), vec![first.id, second.id]));
    assert!(is_found_by_meaning(&plant, "first.md").await);
    assert_eq!(reindex(&plant).await.1, JobEnd::Done);
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]));
    assert!(is_found_by_meaning(&plant, "first.md").await, "the query is embedded with the model of the chunks");
    ingested(&plant, "third.md").await;
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]), "new documents are embedded with it");
    assert_recorded(&plant).await;
}

#[tokio::test]
async fn an_unreadable_document_blocks_the_switch() {
    let (plant, _next) = switching().await;
    let gone = ingested(&plant, "gone.md").await;
    ingested(&plant, "kept.md").await;
    let permit = plant.permit(Role::Admin).await;
    plant.ingest(IngestSettings::default()).discard(&permit, &gone).await.expect("discarded");
    assert_eq!(reindex(&plant).await.1, JobEnd::Dead);
    assert_eq!(models(&plant).await, (Some("words".to_owned()), vec![gone.id]), "the other one is embedded");
    assert_recorded(&plant).await;
    let mut tx = plant.store.begin(permit.scope()).await.expect("a transaction");
    tx.documents().delete(gone.id).await.expect("deleted");
    tx.commit().await.expect("a commit");
    assert_eq!(reindex(&plant).await.1, JobEnd::Done);
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]));
}

#[tokio::test]
async fn a_large_tenant_is_reindexed_in_turns() {
    let (plant, next) = switching().await;
    let first = ingested(&plant, "first.md").await;
    let second = ingested(&plant, "second.md").await;
    let clock = Arc::clone(&plant.clock);
    next.before_batch(move |_| {
        clock.advance(TimeDelta::minutes(2));
        async { Ok(()) }.boxed()
    });
    let (job, end) = reindex(&plant).await;
    assert_eq!(end, JobEnd::Unfinished);
    assert_eq!(models(&plant).await, (Some("words".to_owned()), vec![second.id]), "{} is done", first.id);
    let ingest = plant.ingest(IngestSettings::default());
    assert_eq!(ingest.process(&job).await.expect("processed"), JobEnd::Unfinished);
    assert_eq!(ingest.process(&job).await.expect("processed"), JobEnd::Done);
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]));
}

#[tokio::test]
async fn a_document_embedded_during_the_switch_is_embedded_again() {
    let (plant, _next) = switching().await;
    let permit = plant.permit(Role::Admin).await;
    let ingest = plant.ingest(IngestSettings::default());
    ingest.accept(&permit, upload("slow.md", b"# Slow\n\nOpen the valve slowly.\n")).await.expect("accepted");
    let (store, worker, now) = (plant.store.clone(), plant.scope(Actor::Worker), plant.clock.now());
    plant.embedder.before_batch(move |_| {
        let (store, worker) = (store.clone(), worker.clone());
        async move {
            let mut tx = store.begin(&worker).await.expect("a transaction");
            assert_eq!(tx.chunks().switch_to(NEXT, now).await.expect("switched"), 0);
            tx.commit().await.expect("a commit");
            Ok(())
        }
        .boxed()
    });
    let job = plant.claim().await;
    assert!(!ingest.process(&job).await.expect_err("to be retried").counts);
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]), "the tenant keeps its model");
    assert_eq!(ingest.process(&job).await.expect("processed"), JobEnd::Ready);
    assert_eq!(models(&plant).await, (Some(NEXT.to_owned()), vec![]));
    assert_recorded(&plant).await;
}

#[tokio::test]
async fn an_outage_of_the_next_model_does_not_count_as_an_attempt() {
    let (plant, next) = switching().await;
    let document = ingested(&plant, "first.md").await;
    next.down.store(true, std::sync::atomic::Ordering::Relaxed);
    plant.store.enqueue_reindex().await.expect("queued");
    let job = plant.claim().await;
    let ingest = plant.ingest(IngestSettings::default());
    assert!(!ingest.process(&job).await.expect_err("later").counts);
    assert_eq!(models(&plant).await, (Some("words".to_owned()), vec![document.id]));
    assert_recorded(&plant).await;
}
