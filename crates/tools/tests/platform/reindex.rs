//! Tests the reindexing of a tenant with the next embedding model.

use super::support::{TestContext, WordEmbedder, upload};
use chrono::TimeDelta;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{Clock as _, Embedder, Embedders, JobPayload, JobQueue, LeasedJob, Store, TenantDirectory as _};
use domain::role::{Classification, Role};
use domain::scope::Actor;
use domain::search::{SearchFilters, SearchScope};
use domain::tenant::TenantSettings;
use domain::tenant_change::ChangedBy;
use domain::upload::UploadOutcome;
use futures::future::FutureExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tools::ingest::IngestSettings;
use tools::ingest::interface::{Ingest, JobOutcome};

const NEXT_MODEL: &str = "next";

/// A tenant that switches from the model `words` to [`NEXT_MODEL`], and the embedder of [`NEXT_MODEL`].
async fn context_with_next_model() -> (TestContext, Arc<WordEmbedder>) {
    let mut context = TestContext::new().await;
    let next = Arc::new(WordEmbedder::named(NEXT_MODEL));
    let current = Arc::clone(&context.embedder) as _;
    context.embedders = Some(Embedders { next: Some(Arc::clone(&next) as _), ..Embedders::single(current) });
    (context, next)
}

/// Ingests a document with the tenant's current model.
async fn ingest_document(context: &TestContext, name: &str) -> Document {
    let permit = context.sign_in(Role::Admin).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let text = format!("# {name}\n\nOpen the valve of {name} slowly and watch the pressure.\n");
    let UploadOutcome::Created(document) =
        ingest.accept(&permit, upload(name, text.as_bytes())).await.expect("accepted")
    else {
        panic!("the document exists already");
    };
    assert_eq!(ingest.process(&context.claim().await).await.expect("processed"), JobOutcome::Ready);
    document
}

async fn reindex(context: &TestContext) -> (LeasedJob, JobOutcome) {
    assert_eq!(context.store.enqueue_reindex().await.expect("queued"), 1);
    let job = context.claim().await;
    assert_eq!(job.payload, JobPayload::Reindex);
    let outcome = context.ingest_service(IngestSettings::default()).process(&job).await.expect("processed");
    (job, outcome)
}

/// Returns the tenant's model, and the documents that have no chunks of the next model.
async fn model_and_unstaged(context: &TestContext) -> (Option<String>, Vec<DocumentId>) {
    let mut tx = context.store.begin(&context.scope(Actor::Worker)).await.expect("a transaction");
    let in_use = tx.chunks().model_in_use().await.expect("a model");
    (in_use, tx.chunks().list_unstaged(NEXT_MODEL, 9).await.expect("documents"))
}

/// Whether vector search finds a document.
async fn is_found_by_vector(context: &TestContext, name: &str) -> bool {
    let search_scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Restricted };
    let scope = context.sign_in(Role::Admin).await.scope().clone();
    let found = context.search().search(&scope, "open the valve", &search_scope, 5).await.expect("a search");
    found.hits.iter().any(|hit| hit.passage.file_name == name && hit.similarity.is_some())
}

/// Checks that each intent has one outcome.
async fn assert_each_intent_has_an_outcome(context: &TestContext) {
    let rows = context.audit_rows().await;
    let (intents, outcomes): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.id.as_uuid() == row.correlation_id);
    assert_eq!(intents.len(), outcomes.len());
}

#[tokio::test]
async fn a_tenant_is_switched_to_the_next_model_and_stays_with_it() {
    let (context, _next) = context_with_next_model().await;
    let first = ingest_document(&context, "first.md").await;
    let second = ingest_document(&context, "second.md").await;
    assert_eq!(model_and_unstaged(&context).await, (Some("words".to_owned()), vec![first.id, second.id]));
    assert!(is_found_by_vector(&context, "first.md").await);
    assert_eq!(reindex(&context).await.1, JobOutcome::Done);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
    assert!(is_found_by_vector(&context, "first.md").await, "the query is embedded with the model of the chunks");
    ingest_document(&context, "third.md").await;
    assert_eq!(
        model_and_unstaged(&context).await,
        (Some(NEXT_MODEL.to_owned()), vec![]),
        "new documents are embedded with it"
    );
    assert_each_intent_has_an_outcome(&context).await;
}

#[tokio::test]
async fn an_unreadable_document_blocks_the_switch() {
    let (context, _next) = context_with_next_model().await;
    let gone = ingest_document(&context, "gone.md").await;
    ingest_document(&context, "kept.md").await;
    let permit = context.sign_in(Role::Admin).await;
    context.ingest_service(IngestSettings::default()).discard(&permit, &gone).await.expect("discarded");
    assert_eq!(reindex(&context).await.1, JobOutcome::DeadLettered);
    assert_eq!(
        model_and_unstaged(&context).await,
        (Some("words".to_owned()), vec![gone.id]),
        "the other document is staged"
    );
    assert_each_intent_has_an_outcome(&context).await;
    let mut tx = context.store.begin(permit.scope()).await.expect("a transaction");
    tx.documents().delete(gone.id).await.expect("deleted");
    tx.commit().await.expect("a commit");
    assert_eq!(reindex(&context).await.1, JobOutcome::Done);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
}

#[tokio::test]
async fn a_large_tenant_is_reindexed_over_several_claims() {
    let (context, next) = context_with_next_model().await;
    let first = ingest_document(&context, "first.md").await;
    let second = ingest_document(&context, "second.md").await;
    let clock = Arc::clone(&context.clock);
    next.before_batch(move |_| {
        clock.advance(TimeDelta::minutes(2));
        async { Ok(()) }.boxed()
    });
    let (job, outcome) = reindex(&context).await;
    assert_eq!(outcome, JobOutcome::Unfinished);
    assert_eq!(
        model_and_unstaged(&context).await,
        (Some("words".to_owned()), vec![second.id]),
        "{} is already staged",
        first.id
    );
    let ingest = context.ingest_service(IngestSettings::default());
    assert_eq!(ingest.process(&job).await.expect("processed"), JobOutcome::Unfinished);
    assert_eq!(ingest.process(&job).await.expect("processed"), JobOutcome::Done);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
}

#[tokio::test]
async fn a_document_embedded_during_the_switch_is_embedded_again() {
    let (context, _next) = context_with_next_model().await;
    let permit = context.sign_in(Role::Admin).await;
    let ingest = context.ingest_service(IngestSettings::default());
    ingest.accept(&permit, upload("slow.md", b"# Slow\n\nOpen the valve slowly.\n")).await.expect("accepted");
    let (store, worker, now) = (context.store.clone(), context.scope(Actor::Worker), context.clock.now());
    context.embedder.before_batch(move |_| {
        let (store, worker) = (store.clone(), worker.clone());
        async move {
            let mut tx = store.begin(&worker).await.expect("a transaction");
            assert_eq!(tx.chunks().switch_model(NEXT_MODEL, now).await.expect("switched"), 0);
            tx.commit().await.expect("a commit");
            Ok(())
        }
        .boxed()
    });
    let job = context.claim().await;
    assert!(!ingest.process(&job).await.expect_err("a retry").counts_as_attempt);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]), "the tenant keeps its model");
    assert_eq!(ingest.process(&job).await.expect("processed"), JobOutcome::Ready);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
    assert_each_intent_has_an_outcome(&context).await;
}

#[tokio::test]
async fn an_outage_of_the_next_model_does_not_count_as_an_attempt() {
    let (context, next) = context_with_next_model().await;
    let document = ingest_document(&context, "first.md").await;
    next.is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    context.store.enqueue_reindex().await.expect("queued");
    let job = context.claim().await;
    let ingest = context.ingest_service(IngestSettings::default());
    assert!(!ingest.process(&job).await.expect_err("a retry").counts_as_attempt);
    assert_eq!(model_and_unstaged(&context).await, (Some("words".to_owned()), vec![document.id]));
    assert_each_intent_has_an_outcome(&context).await;
}

/// A tenant whose model is [`NEXT_MODEL`] if its documents are in German, otherwise `words`.
async fn context_with_german_model() -> TestContext {
    let mut context = TestContext::new().await;
    let german: Arc<dyn Embedder> = Arc::new(WordEmbedder::named(NEXT_MODEL));
    let current = Arc::clone(&context.embedder) as _;
    let by_language = BTreeMap::from([("german".to_owned(), german)]);
    context.embedders = Some(Embedders { by_language, ..Embedders::single(current) });
    context
}

async fn set_language(context: &TestContext, language: &str, version: i64) {
    let settings = TenantSettings { language: Some(language.to_owned()), ..TenantSettings::default() };
    let changed = context.store.replace_settings(context.tenant, &settings, version, &ChangedBy::default()).await;
    changed.expect("configured").expect("at this version");
}

#[tokio::test]
async fn the_first_document_of_a_tenant_is_embedded_with_the_model_of_its_language() {
    let context = context_with_german_model().await;
    set_language(&context, "German", 1).await;
    ingest_document(&context, "first.md").await;
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
    assert!(is_found_by_vector(&context, "first.md").await);
}

#[tokio::test]
async fn a_tenant_whose_language_changes_keeps_its_model_until_it_is_reindexed() {
    let context = context_with_german_model().await;
    let first = ingest_document(&context, "first.md").await;
    set_language(&context, "german", 1).await;
    let second = ingest_document(&context, "second.md").await;
    assert_eq!(model_and_unstaged(&context).await, (Some("words".to_owned()), vec![first.id, second.id]));
    assert!(is_found_by_vector(&context, "second.md").await, "both documents are of one model");
    assert_eq!(reindex(&context).await.1, JobOutcome::Done);
    assert_eq!(model_and_unstaged(&context).await, (Some(NEXT_MODEL.to_owned()), vec![]));
    assert!(is_found_by_vector(&context, "first.md").await);
    set_language(&context, "french", 2).await;
    assert_eq!(reindex(&context).await.1, JobOutcome::Done);
    assert_eq!(model_and_unstaged(&context).await.0, Some("words".to_owned()), "the model of all other languages");
    assert!(is_found_by_vector(&context, "first.md").await);
}
