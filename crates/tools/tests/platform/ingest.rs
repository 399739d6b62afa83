//! Tests uploads and ingestion jobs, from the first byte to searchable chunks.

use super::support::{TestContext, form, timeout_error, upload, upload_with_form};
use bytes::Bytes;
use chrono::TimeDelta;
use domain::audit::AuditRecord;
use domain::document::{Document, DocumentPatch, DocumentStatus, FailureCode};
use domain::model::ModelError;
use domain::ports::{BlobError, JobFilter, JobPayload, JobQueue, LeasedJob, RequeueOptions, Store};
use domain::role::{Classification, Role};
use domain::search::{SearchFilters, SearchScope};
use domain::text::ShortText;
use domain::upload::{FieldError, Upload, UploadOutcome};
use futures::future::{FutureExt, pending};
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tools::error::IngestError;
use tools::ingest::IngestSettings;
use tools::ingest::interface::{Ingest, JobOutcome};

const NOTES: &[u8] = b"# Strainer\n\nClean the suction strainer when its differential pressure exceeds 0.25 bar.\n";

async fn upload_document(context: &TestContext, name: &str, bytes: &[u8]) -> Document {
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    match ingest.accept(&permit, upload(name, bytes)).await.expect("accepted") {
        UploadOutcome::Created(document) => document,
        UploadOutcome::Duplicate(_) => panic!("the document exists already"),
    }
}

async fn expect_refusal(context: &TestContext, upload: Upload) -> IngestError {
    let permit = context.sign_in(Role::User).await;
    let refused = context.ingest_service(IngestSettings::default()).accept(&permit, upload).await.expect_err("refused");
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 0, "no file is stored");
    assert_eq!(context.try_claim().await, None, "nothing is queued");
    refused
}

/// Returns the outcomes of the job's attempts; checks that each intent has exactly one.
async fn outcomes(context: &TestContext) -> Vec<AuditRecord> {
    let rows = context.audit_rows().await;
    let (intents, outcomes): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.id.as_uuid() == row.correlation_id);
    assert_eq!(intents.len(), outcomes.len());
    assert!(outcomes.iter().all(|row| row.event_type == "doc.ingestion" && row.user_id.is_none()));
    outcomes
}

#[tokio::test]
async fn an_upload_is_stored_queued_and_pending() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "suction_strainer.md", NOTES).await;
    assert_eq!(document.status, DocumentStatus::Pending);
    assert_eq!((document.title.as_str(), document.mime_type.as_str()), ("suction strainer", "text/markdown"));
    assert_eq!(document.classification, Classification::Internal);
    assert_eq!(document.file_size_bytes, NOTES.len() as i64);
    assert_eq!(context.blobs.count(), 1);
    assert_eq!(context.claim().await.payload, JobPayload::Ingest(document.id));
}

#[tokio::test]
async fn a_job_makes_the_document_searchable_and_records_intent_and_outcome() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "suction_strainer.md", NOTES).await;
    let job = context.claim().await;
    let job_outcome = context.ingest_service(IngestSettings::default()).process(&job).await;
    assert_eq!(job_outcome.expect("processed"), JobOutcome::Ready);
    let ready = context.read_document(document.id).await.expect("the document");
    assert_eq!((ready.status, ready.title.as_str(), ready.chunk_count), (DocumentStatus::Ready, "Strainer", 1));
    let search_scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Internal };
    let found = context
        .search()
        .search(&job.scope, "When do I clean the suction strainer?", &search_scope, 5)
        .await
        .expect("hits");
    assert!(found.answerable);
    assert_eq!(found.hits[0].passage.document_id, document.id);
    let outcomes = outcomes(&context).await;
    assert_eq!(outcomes[0].result_status.as_deref(), Some("success"));
    assert_eq!(outcomes[0].resource_id, Some(document.id.as_uuid()));
    assert!(!format!("{outcomes:?}").contains("trainer"), "no title and no text");
    context.clock.advance(TimeDelta::hours(1));
    assert_eq!(context.try_claim().await, None, "the job is done");
}

#[tokio::test]
async fn content_of_an_unknown_type_is_refused_before_it_is_stored() {
    let context = TestContext::new().await;
    let polled = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&polled);
    let head = [b"MZ\x90\0".as_slice(), &[0; 70_000]].concat();
    let rest = stream::once(async move {
        seen.store(true, Ordering::Relaxed);
        Ok(Bytes::from_static(b"more"))
    });
    let bytes = stream::iter([Ok(Bytes::from(head))]).chain(rest).boxed();
    let upload = Upload { bytes, form: async { Ok(form("manual.pdf")) }.boxed() };
    assert!(matches!(expect_refusal(&context, upload).await, IngestError::UnsupportedType));
    assert!(!polled.load(Ordering::Relaxed), "the rest was not read");
}

#[tokio::test]
async fn an_empty_file_and_a_missing_file_are_refused_with_different_errors() {
    let context = TestContext::new().await;
    let error = expect_refusal(&context, upload("empty.pdf", b"")).await;
    assert!(
        matches!(error, IngestError::InvalidForm(field) if field.pointer == "/file" && field.detail.contains("empty"))
    );
    let missing = FieldError { pointer: "/file".into(), detail: "is missing".into() };
    let error = expect_refusal(&context, upload_with_form(b"", Err(missing.clone()))).await;
    assert!(matches!(error, IngestError::InvalidForm(field) if field == missing));
}

#[tokio::test]
async fn an_invalid_form_leaves_no_file_behind() {
    let context = TestContext::new().await;
    let invalid_field = FieldError { pointer: "/tags/0".into(), detail: "must not be empty".into() };
    let error = expect_refusal(&context, upload_with_form(NOTES, Err(invalid_field.clone()))).await;
    assert!(matches!(error, IngestError::InvalidForm(field) if field == invalid_field));
}

#[tokio::test]
async fn a_caller_who_disconnects_before_the_form_leaves_no_file_behind() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let bytes = stream::iter([Ok(Bytes::from_static(NOTES))]).boxed();
    let upload = Upload { bytes, form: pending().boxed() };
    assert!(ingest.accept(&permit, upload).now_or_never().is_none(), "the upload waits for the form");
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 0);
}

#[tokio::test]
async fn too_large_and_interrupted_uploads_leave_no_file_behind() {
    let context = TestContext::new().await;
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings { max_upload_bytes: 80_000, ..IngestSettings::default() });
    let error = ingest.accept(&permit, upload("long.txt", &b"word ".repeat(20_000))).await.expect_err("too large");
    assert!(matches!(error, IngestError::Blob(BlobError::TooLarge { limit: 80_000 })));
    let broken = stream::iter([Ok(Bytes::from_static(NOTES)), Err(BlobError::Interrupted { reason: "reset".into() })]);
    let upload = Upload { bytes: broken.boxed(), form: async { Ok(form("notes.md")) }.boxed() };
    let error = ingest.accept(&permit, upload).await.expect_err("interrupted");
    assert!(matches!(error, IngestError::Blob(BlobError::Interrupted { .. })));
    assert_eq!(context.blobs.count(), 0);
}

#[tokio::test]
async fn identical_bytes_are_a_duplicate_and_stored_once() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let again = ingest.accept(&permit, upload("copy.md", NOTES)).await.expect("accepted");
    assert!(matches!(again, UploadOutcome::Duplicate(known) if known.id == document.id));
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 1);
}

#[tokio::test]
async fn the_same_bytes_above_the_callers_clearance_are_a_separate_document() {
    let context = TestContext::new().await;
    context.set_user_clearance(Classification::Internal).await;
    let (admin, user) = (context.sign_in(Role::Admin).await, context.sign_in(Role::User).await);
    let ingest = context.ingest_service(IngestSettings::default());
    let mut restricted_form = form("notes.md");
    restricted_form.tags = vec![ShortText::parse("Restricted").expect("a tag")];
    let stored = ingest.accept(&admin, upload_with_form(NOTES, Ok(restricted_form))).await.expect("accepted");
    assert!(
        matches!(stored, UploadOutcome::Created(document) if document.classification == Classification::Restricted)
    );
    let seen = ingest.accept(&user, upload("notes.md", NOTES)).await;
    let Ok(UploadOutcome::Created(seen)) = seen else { panic!("the hidden document is revealed: {seen:?}") };
    assert_eq!(seen.classification, Classification::Internal);
    let again = ingest.accept(&user, upload("notes.md", NOTES)).await;
    assert!(matches!(&again, Ok(UploadOutcome::Duplicate(known)) if known.id == seen.id), "{again:?}");
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 2);
}

#[tokio::test]
async fn an_unreadable_file_fails_with_a_reason_and_can_be_uploaded_again() {
    let context = TestContext::new().await;
    let broken = b"%PDF-1.7\nthis is not a PDF at all\n";
    let document = upload_document(&context, "broken.pdf", broken).await;
    let ingest = context.ingest_service(IngestSettings::default());
    assert_eq!(ingest.process(&context.claim().await).await.expect("processed"), JobOutcome::Failed);
    let failed = context.read_document(document.id).await.expect("the document");
    assert_eq!(failed.status, DocumentStatus::Failed);
    let failure = failed.failure.expect("a reason");
    assert_eq!(failure.code, FailureCode::Corrupt);
    assert!(failure.detail.ends_with('.'), "{}", failure.detail);
    let outcomes = outcomes(&context).await;
    assert_eq!(outcomes[0].result_status.as_deref(), Some("error"));
    assert_eq!(outcomes[0].metadata["code"], "corrupt");
    assert_eq!(context.try_claim().await, None, "the job is not retried");
    let permit = context.sign_in(Role::User).await;
    let again = ingest.accept(&permit, upload("broken.pdf", broken)).await.expect("accepted");
    assert!(matches!(again, UploadOutcome::Duplicate(known) if known.id == document.id));
    assert_eq!(context.claim().await.payload, JobPayload::Ingest(document.id));
}

#[tokio::test]
async fn an_embedding_outage_does_not_count_as_an_attempt() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let ingest = context.ingest_service(IngestSettings::default());
    context.embedder.is_down.store(true, Ordering::Relaxed);
    let job = context.claim().await;
    let retry = ingest.process(&job).await.expect_err("a retry");
    assert!(!retry.counts_as_attempt);
    assert_eq!(context.read_document(document.id).await.expect("the document").status, DocumentStatus::Processing);
    context
        .store
        .requeue(job.lease, &RequeueOptions { counts_as_attempt: retry.counts_as_attempt, ..RequeueOptions::default() })
        .await
        .expect("requeued");
    context.embedder.is_down.store(false, Ordering::Relaxed);
    let job = context.claim().await;
    assert_eq!(job.attempt, 1);
    assert_eq!(ingest.process(&job).await.expect("processed"), JobOutcome::Ready);
    let statuses: Vec<_> = outcomes(&context).await.into_iter().filter_map(|row| row.result_status).collect();
    assert_eq!(statuses, ["error", "success"]);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let expired_job = context.claim().await;
    context.clock.advance(TimeDelta::hours(1));
    let current_job = context.claim().await;
    assert_eq!(ingest.process(&expired_job).await.expect("processed"), JobOutcome::Stale);
    assert_eq!(context.read_document(document.id).await.expect("the document").status, DocumentStatus::Pending);
    assert_eq!(context.audit_rows().await, vec![]);
    assert_eq!(ingest.process(&current_job).await.expect("processed"), JobOutcome::Ready);
}

#[tokio::test]
async fn a_document_deleted_during_ingestion_is_not_written() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let job = context.claim().await;
    let mut tx = context.store.begin(&job.scope).await.expect("a transaction");
    tx.documents().delete(document.id).await.expect("deleted");
    tx.commit().await.expect("a commit");
    let job_outcome = context.ingest_service(IngestSettings::default()).process(&job).await;
    assert_eq!(job_outcome.expect("processed"), JobOutcome::Stale);
    assert_eq!(context.audit_rows().await, vec![]);
}

async fn failure_of(
    context: &TestContext,
    job: &LeasedJob,
    settings: IngestSettings,
    expected: JobOutcome,
) -> FailureCode {
    assert_eq!(context.ingest_service(settings).process(job).await.expect("processed"), expected);
    outcomes(context).await;
    let document = job.payload.document().expect("a document");
    context.read_document(document).await.expect("the document").failure.expect("a reason").code
}

#[tokio::test]
async fn a_claim_past_the_last_attempt_is_dead_lettered_without_another_attempt() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let claimed = context.claim().await;
    let job = LeasedJob { attempt: claimed.max_attempts + 1, ..claimed };
    assert_eq!(
        failure_of(&context, &job, IngestSettings::default(), JobOutcome::DeadLettered).await,
        FailureCode::Timeout
    );
    assert_eq!(context.store.depth().await.expect("a depth").dead, 1);
    context.clock.advance(TimeDelta::days(1));
    assert_eq!(context.try_claim().await, None);
    let again = context
        .ingest_service(IngestSettings::default())
        .requeue(&context.sign_in(Role::Admin).await, document.id)
        .await;
    assert_eq!(again.expect("queued").expect("the document").status, DocumentStatus::Pending);
    assert_eq!(context.claim().await.attempt, 1);
}

#[tokio::test]
async fn an_error_at_the_last_attempt_dead_letters_the_job() {
    let context = TestContext::new().await;
    upload_document(&context, "notes.md", NOTES).await;
    let invalid = || ModelError::InvalidResponse { backend: "words".into(), reason: "no vectors".into() };
    context.embedder.before_batch(move |_| async move { Err(invalid()) }.boxed());
    let claimed = context.claim().await;
    let ingest = context.ingest_service(IngestSettings::default());
    assert!(ingest.process(&claimed).await.expect_err("a retry").counts_as_attempt, "there are attempts left");
    let last = LeasedJob { attempt: claimed.max_attempts, ..claimed };
    assert_eq!(
        failure_of(&context, &last, IngestSettings::default(), JobOutcome::DeadLettered).await,
        FailureCode::Timeout
    );
    assert_eq!(context.store.depth().await.expect("a depth").dead, 1);
}

#[tokio::test]
async fn progress_is_reported_after_reading_and_after_batches_and_removed_with_the_job() {
    let context = TestContext::new().await;
    let text = "# Pump\n\nCheck the oil level of the pump before each start and note it in the log.\n\n".repeat(60);
    let document = upload_document(&context, "notes.md", text.as_bytes()).await;
    let job = context.claim().await;
    let settings = IngestSettings { embed_batch_size: 1, ..IngestSettings::default() };
    let ingest = context.ingest_service(settings);
    // The embedder fails at the third batch; the progress reported before that stays on the document.
    let clock = Arc::clone(&context.clock);
    context.embedder.before_batch(move |batch| {
        clock.advance(TimeDelta::seconds(2));
        async move { if batch < 2 { Ok(()) } else { Err(timeout_error()) } }.boxed()
    });
    ingest.process(&job).await.expect_err("a retry");
    let progress = context.read_document(document.id).await.expect("the document").progress.expect("progress");
    assert!(progress.chunk_count.is_some_and(|count| count > 2), "{progress:?}");
    assert_eq!(progress.chunks_embedded, 2);
    context.embedder.before_batch(|_| async { Ok(()) }.boxed());
    assert_eq!(ingest.process(&job).await.expect("processed"), JobOutcome::Ready);
    assert_eq!(context.read_document(document.id).await.expect("the document").progress, None);
}

#[tokio::test]
async fn progress_of_a_worker_that_lost_its_lease_is_not_recorded() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let expired_job = context.claim().await;
    let ingest = context.ingest_service(IngestSettings::default());
    // Another worker takes the job over while the first one embeds.
    let (clock, store) = (Arc::clone(&context.clock), context.store.clone());
    context.embedder.before_batch(move |_| {
        let (clock, store) = (Arc::clone(&clock), store.clone());
        async move {
            clock.advance(TimeDelta::hours(1));
            let taken_over = store.claim(&JobFilter::any(), Duration::from_secs(60)).await;
            assert!(taken_over.expect("the queue").is_some());
            Ok(())
        }
        .boxed()
    });
    assert_eq!(ingest.process(&expired_job).await.expect("processed"), JobOutcome::Stale);
    let progress =
        context.read_document(document.id).await.expect("the document").progress.expect("the earlier progress");
    assert_eq!(progress.chunks_embedded, 0);
}

#[tokio::test]
async fn a_document_that_takes_too_long_to_read_fails() {
    let context = TestContext::new().await;
    upload_document(&context, "long.txt", &b"Check the level twice in each shift.\n\n".repeat(20_000)).await;
    let job = context.claim().await;
    let without_read_time = IngestSettings { read_timeout: Duration::ZERO, ..IngestSettings::default() };
    assert_eq!(failure_of(&context, &job, without_read_time, JobOutcome::Failed).await, FailureCode::Timeout);
}

#[tokio::test]
async fn a_document_whose_file_is_gone_fails() {
    let context = TestContext::new().await;
    let document = upload_document(&context, "notes.md", NOTES).await;
    let permit = context.sign_in(Role::Admin).await;
    context.ingest_service(IngestSettings::default()).discard(&permit, &document).await.expect("discarded");
    let job = context.claim().await;
    assert_eq!(failure_of(&context, &job, IngestSettings::default(), JobOutcome::Failed).await, FailureCode::Corrupt);
}

#[tokio::test]
async fn an_upload_above_the_users_own_clearance_is_refused() {
    let context = TestContext::new().await;
    context.set_user_clearance(Classification::Internal).await;
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    let mut confidential_form = form("notes.md");
    confidential_form.classification = Some(Classification::Confidential);
    let refused = ingest.accept(&permit, upload_with_form(NOTES, Ok(confidential_form))).await;
    assert!(
        matches!(&refused, Err(IngestError::InvalidForm(field)) if field.pointer == "/classification"),
        "{refused:?}"
    );
    context.wait_for_background_tasks().await;
    assert_eq!(context.blobs.count(), 0, "no file is stored");
}

#[tokio::test]
async fn a_document_above_the_embedding_models_classification_is_not_sent_to_it() {
    let context = TestContext::new().await;
    context.embedder.internal_only.store(true, Ordering::Relaxed);
    let was_called = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&was_called);
    context.embedder.before_batch(move |_| {
        seen.store(true, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    });
    let permit = context.sign_in(Role::User).await;
    let ingest = context.ingest_service(IngestSettings::default());
    for (classification, expected) in
        [(Classification::Confidential, JobOutcome::Failed), (Classification::Internal, JobOutcome::Ready)]
    {
        let mut classified_form = form("notes.md");
        classified_form.classification = Some(classification);
        let text = [NOTES, classification.as_str().as_bytes()].concat();
        ingest.accept(&permit, upload_with_form(&text, Ok(classified_form))).await.expect("accepted");
        let job = context.try_claim().await.expect("a job");
        assert_eq!(ingest.process(&job).await.expect("processed"), expected, "{classification}");
        assert_eq!(was_called.load(Ordering::Relaxed), classification == Classification::Internal, "{classification}");
    }
}

#[tokio::test]
async fn a_classification_raised_during_ingestion_stops_the_embedding() {
    let context = TestContext::new().await;
    context.embedder.internal_only.store(true, Ordering::Relaxed);
    let text = "# Pump\n\nCheck the oil level of the pump before each start and note it in the log.\n\n".repeat(60);
    let document = upload_document(&context, "notes.md", text.as_bytes()).await;
    let batches = Arc::new(AtomicUsize::new(0));
    let (batch_counter, store, job) = (Arc::clone(&batches), context.store.clone(), context.claim().await);
    let scope = job.scope.clone();
    context.embedder.before_batch(move |batch| {
        batch_counter.store(batch + 1, Ordering::Relaxed);
        let (store, scope) = (store.clone(), scope.clone());
        async move {
            if batch == 1 {
                let raised =
                    DocumentPatch { classification: Some(Classification::Restricted), ..DocumentPatch::default() };
                let mut tx = store.begin(&scope).await.expect("a transaction");
                tx.documents().update(document.id, &raised, chrono::DateTime::UNIX_EPOCH).await.expect("raised");
                tx.commit().await.expect("a commit");
            }
            Ok(())
        }
        .boxed()
    });
    let settings = IngestSettings { embed_batch_size: 1, ..IngestSettings::default() };
    assert_eq!(failure_of(&context, &job, settings, JobOutcome::Failed).await, FailureCode::Unsupported);
    assert_eq!(batches.load(Ordering::Relaxed), 2, "no batch follows the one during which it was raised");
    let failed = context.read_document(document.id).await.expect("the document");
    assert_eq!(failed.chunk_count, 0, "no chunk is searchable");
}
