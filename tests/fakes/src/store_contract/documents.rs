//! Test cases for documents and their ingestion.

use super::{CaseError, CaseResult, TestContext, require, user_id};
use domain::document::{
    DocumentFailure, DocumentFilter, DocumentPatch, DocumentStatus, FailureCode, IngestionProgress, NewDocument,
    Revision, StatusChange,
};
use domain::page::PageRequest;
use domain::ports::{InsertDocumentOutcome, StoreError};
use domain::role::Classification;
use domain::tenant::StorageUsage;
use futures::future::join_all;

/// Two tenants may store the same file; one tenant stores it once.
pub async fn identical_content_is_stored_once_per_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let first = context.insert_document(&tenant_a.ada, 'a').await?;
    context.insert_document(&tenant_b.ada, 'a').await?;
    let duplicate =
        NewDocument { filename: "other name.pdf".to_owned(), ..context.new_document(user_id(&tenant_a.bob)?, 'a') };
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(
        tx.documents().insert(&duplicate, Classification::Restricted, context.advance_clock()).await?,
        InsertDocumentOutcome::Duplicate(first)
    );
    Ok(())
}

/// An existing document above the uploader's clearance is not disclosed: the upload is stored as a separate document,
/// which is shared by all users who cannot see the first one.
pub async fn hidden_identical_content_is_stored_again(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let secret = NewDocument {
        classification: Classification::Restricted,
        ..context.new_document(user_id(&tenant_a.ada)?, 'a')
    };
    let copy = context.new_document(user_id(&tenant_a.bob)?, 'a');
    let second_copy =
        NewDocument { filename: "again.pdf".to_owned(), ..context.new_document(user_id(&tenant_a.bob)?, 'a') };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, context.advance_clock()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.bob).await?;
    let InsertDocumentOutcome::New(inserted) =
        tx.documents().insert(&copy, Classification::Internal, context.advance_clock()).await?
    else {
        return Err("the upload revealed the hidden document".into());
    };
    assert_eq!((inserted.id, inserted.classification), (copy.id, Classification::Internal));
    let insert_result = tx.documents().insert(&second_copy, Classification::Internal, context.advance_clock()).await?;
    assert!(
        matches!(&insert_result, InsertDocumentOutcome::Duplicate(existing) if existing.id == copy.id),
        "{insert_result:?}"
    );
    tx.commit().await?;
    // A user who can see both copies gets the first one; once it is deleted, the second one.
    let mut tx = context.begin(&tenant_a.ada).await?;
    let insert_result =
        tx.documents().insert(&second_copy, Classification::Restricted, context.advance_clock()).await?;
    assert!(
        matches!(&insert_result, InsertDocumentOutcome::Duplicate(existing) if existing.id == secret.id),
        "{insert_result:?}"
    );
    require(tx.documents().delete(secret.id).await?)?;
    let insert_result =
        tx.documents().insert(&second_copy, Classification::Restricted, context.advance_clock()).await?;
    assert!(
        matches!(&insert_result, InsertDocumentOutcome::Duplicate(existing) if existing.id == copy.id),
        "{insert_result:?}"
    );
    Ok(())
}

/// Otherwise both successors would be in force. A failed successor does not block another one.
pub async fn a_document_has_one_successor_at_a_time(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let old = context.insert_document(&tenant_a.ada, 'a').await?;
    let successor = |sha| -> Result<NewDocument, CaseError> {
        let revision = Revision { supersedes: Some(old.id), ..Revision::default() };
        Ok(NewDocument { revision, ..context.new_document(user_id(&tenant_a.ada)?, sha) })
    };
    let (first, second) = (successor('b')?, successor('c')?);
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().insert(&first, Classification::Restricted, context.advance_clock()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.bob).await?;
    let result = tx.documents().insert(&second, Classification::Restricted, context.advance_clock()).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    drop(tx);
    let failure = DocumentFailure { code: FailureCode::NoText, detail: "It holds no text.".to_owned() };
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().set_status(first.id, &StatusChange::Failed(failure), context.advance_clock()).await?;
    tx.documents().insert(&second, Classification::Restricted, context.advance_clock()).await?;
    tx.documents().set_status(second.id, &ready, context.advance_clock()).await?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let requeue_result = tx.documents().set_status(first.id, &StatusChange::Queued, context.advance_clock()).await;
    assert!(matches!(requeue_result, Err(StoreError::Conflict { .. })), "{requeue_result:?}");
    drop(tx);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let old_document = require(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(old_document.superseded_by, Some(second.id));
    Ok(())
}

/// Of concurrent uploads that supersede the same document, exactly one succeeds.
pub async fn one_of_several_concurrent_successors_is_inserted(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let old = context.insert_document(&tenant_a.ada, 'a').await?;
    let uploader = user_id(&tenant_a.ada)?;
    let revisions: Vec<NewDocument> = ('b'..='f')
        .map(|sha| {
            let revision = Revision { supersedes: Some(old.id), ..Revision::default() };
            NewDocument { revision, ..context.new_document(uploader, sha) }
        })
        .collect();
    let ada = &tenant_a.ada;
    let upload = |new: NewDocument| async move {
        let mut tx = context.begin(ada).await.map_err(|error| error.to_string())?;
        match tx.documents().insert(&new, Classification::Restricted, context.now()).await {
            Ok(InsertDocumentOutcome::New(_)) => tx.commit().await.map(|()| true).map_err(|error| error.to_string()),
            Err(StoreError::Conflict { reason }) => {
                assert!(reason.contains("supersedes"), "{reason}");
                Ok(false)
            }
            other => Err(format!("{other:?}")),
        }
    };
    let results: Result<Vec<bool>, String> = join_all(revisions.into_iter().map(upload)).await.into_iter().collect();
    assert_eq!(results?.into_iter().filter(|is_inserted| *is_inserted).count(), 1);
    Ok(())
}

/// Concurrent uploads of content that is hidden from the uploaders share one new copy.
pub async fn one_of_several_concurrent_copies_is_stored(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let uploader = user_id(&tenant_a.ada)?;
    let secret = NewDocument { classification: Classification::Restricted, ..context.new_document(uploader, 'a') };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, context.now()).await?;
    tx.commit().await?;
    let ada = &tenant_a.ada;
    let upload = |new: NewDocument| async move {
        let mut tx = context.begin(ada).await.map_err(|error| error.to_string())?;
        let inserted = tx.documents().insert(&new, Classification::Internal, context.now()).await;
        tx.commit().await.map_err(|error| error.to_string())?;
        match inserted {
            Ok(InsertDocumentOutcome::New(document)) => Ok((true, document.id)),
            Ok(InsertDocumentOutcome::Duplicate(document)) => Ok((false, document.id)),
            Err(error) => Err(error.to_string()),
        }
    };
    let copies: Vec<NewDocument> = (0..5).map(|_| context.new_document(uploader, 'a')).collect();
    let results: Result<Vec<_>, String> = join_all(copies.into_iter().map(upload)).await.into_iter().collect();
    let insertions = results?;
    assert_eq!(insertions.iter().filter(|(new, _)| *new).count(), 1, "{insertions:?}");
    assert!(insertions.iter().all(|(_, id)| *id == insertions[0].1 && *id != secret.id), "{insertions:?}");
    Ok(())
}

/// The clearance always applies, in addition to the filter.
pub async fn documents_are_listed_by_clearance_and_filter(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let internal_document = context.insert_document(&tenant_a.ada, 'a').await?;
    let secret = NewDocument {
        classification: Classification::Restricted,
        doc_type: Some("report".to_owned()),
        tags: vec!["pumps".to_owned(), "2026".to_owned()],
        ..context.new_document(user_id(&tenant_a.ada)?, 'b')
    };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, context.advance_clock()).await?;
    let page = PageRequest::default();
    let no_filter = DocumentFilter::default();
    let cases = [
        (no_filter.clone(), Classification::Restricted, vec![secret.id, internal_document.id]),
        (no_filter.clone(), Classification::Confidential, vec![internal_document.id]),
        (no_filter.clone(), Classification::Public, vec![]),
        (DocumentFilter { tag: Some("2026".into()), ..no_filter.clone() }, Classification::Restricted, vec![secret.id]),
        (DocumentFilter { tag: Some("2026".into()), ..no_filter.clone() }, Classification::Internal, vec![]),
        (
            DocumentFilter { doc_type: Some("manual".into()), ..no_filter.clone() },
            Classification::Restricted,
            vec![internal_document.id],
        ),
        (DocumentFilter { status: Some(DocumentStatus::Ready), ..no_filter }, Classification::Restricted, vec![]),
    ];
    for (filter, clearance, expected) in cases {
        let listed = tx.documents().list(&filter, clearance, &page).await?.items;
        assert_eq!(listed.iter().map(|d| d.id).collect::<Vec<_>>(), expected, "{filter:?} {clearance}");
    }
    assert_eq!(tx.documents().get(secret.id, Classification::Confidential).await?, None);
    assert!(tx.documents().get(secret.id, Classification::Restricted).await?.is_some());
    Ok(())
}

/// The status goes from pending to processing, to failed with a reason, then to ready without one.
pub async fn the_status_of_a_document_follows_its_ingestion(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let document = context.insert_document(&tenant_a.ada, 'a').await?;
    assert_eq!((document.status, document.chunk_count), (DocumentStatus::Pending, 0));
    let failure = DocumentFailure { code: FailureCode::NoText, detail: "It holds no text.".to_owned() };
    let ready = StatusChange::Ready {
        title: Some("Its own title".to_owned()),
        page_count: Some(2),
        chunk_count: 7,
        warnings: vec!["page 2 without text".to_owned()],
    };
    let steps = [
        (StatusChange::Processing, DocumentStatus::Processing, None),
        (StatusChange::Failed(failure.clone()), DocumentStatus::Failed, Some(failure)),
        (StatusChange::Queued, DocumentStatus::Pending, None),
        (ready, DocumentStatus::Ready, None),
    ];
    for (change, status, failure) in steps {
        let now = context.advance_clock();
        let mut tx = context.begin(&tenant_a.ada).await?;
        assert!(tx.documents().set_status(document.id, &change, now).await?);
        let changed = require(tx.documents().get(document.id, Classification::Internal).await?)?;
        assert_eq!((changed.status, changed.failure, changed.updated_at), (status, failure, now));
        tx.commit().await?;
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    let ingested = require(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!((ingested.title.as_str(), ingested.page_count, ingested.chunk_count), ("Its own title", Some(2), 7));
    assert_eq!(ingested.warnings, ["page 2 without text"]);
    assert_eq!(tx.documents().delete(document.id).await?, Some(ingested));
    assert_eq!(tx.documents().delete(document.id).await?, None);
    Ok(())
}

/// Progress is stored only while a document is being processed, and removed afterwards.
pub async fn progress_is_shown_while_a_document_is_processed(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let document = context.insert_document(&tenant_a.ada, 'a').await?;
    let progress = IngestionProgress { pages_read: 3, page_count: Some(9), ..IngestionProgress::default() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(!tx.documents().update_progress(document.id, progress).await?, "it is not being processed yet");
    tx.documents().set_status(document.id, &StatusChange::Processing, context.now()).await?;
    assert!(tx.documents().update_progress(document.id, progress).await?);
    let current = require(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!(current.progress, Some(progress));
    let failure = DocumentFailure { code: FailureCode::Timeout, detail: "It took too long.".to_owned() };
    tx.documents().set_status(document.id, &StatusChange::Failed(failure), context.now()).await?;
    let current = require(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!(current.progress, None);
    assert!(!tx.documents().update_progress(document.id, progress).await?, "it is no longer being processed");
    Ok(())
}

/// The upload alone does not replace the predecessor, and deleting the successor puts the predecessor in force again.
pub async fn a_revision_replaces_its_predecessor_once_searchable(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let old = context.insert_document(&tenant_a.ada, 'a').await?;
    let revision = Revision { label: Some("C".to_owned()), effective_from: None, supersedes: Some(old.id) };
    let new = NewDocument { revision: revision.clone(), ..context.new_document(user_id(&tenant_a.ada)?, 'b') };
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.documents().insert(&new, Classification::Restricted, context.advance_clock()).await?;
    let current = require(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(current.superseded_by, None);
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    tx.documents().set_status(new.id, &ready, context.advance_clock()).await?;
    let current = require(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(current.superseded_by, Some(new.id));
    let current = require(tx.documents().get(new.id, Classification::Internal).await?)?;
    assert_eq!((current.revision, current.superseded_by), (revision, None));
    tx.documents().delete(new.id).await?;
    let current = require(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(current.superseded_by, None);
    Ok(())
}

/// No method of the repository returns or changes a document of another tenant.
pub async fn nobody_else_sees_a_tenants_document(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let document = context.insert_document(&tenant_a.ada, 'a').await?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Restricted).await?, None);
    let (no_filter, page) = (DocumentFilter::default(), PageRequest::default());
    assert_eq!(tx.documents().list(&no_filter, Classification::Restricted, &page).await?.items, []);
    assert!(!tx.documents().set_status(document.id, &StatusChange::Processing, context.now()).await?);
    assert_eq!(tx.documents().delete(document.id).await?, None);
    assert!(tx.chunks().replace(document.id, "m", &[], context.now()).await.is_err());
    drop(tx);
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Internal).await?, Some(document));
    Ok(())
}

/// A title that a user has set is kept when the document is ingested.
pub async fn a_document_changes_only_where_the_patch_says(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let before = context.insert_document(&tenant_a.ada, 'a').await?;
    let patch = DocumentPatch {
        title: Some("Pump P-101".to_owned()),
        classification: Some(Classification::Confidential),
        ..DocumentPatch::default()
    };
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.documents().update(before.id, &patch, context.now()).await?, None, "another tenant's document");
    assert_eq!(tx.documents().lock(before.id, Classification::Restricted).await?, None);
    assert_eq!(tx.documents().classifications(&[before.id]).await?, []);
    drop(tx);
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(require(tx.documents().lock(before.id, before.classification).await?)?, before);
    let after = require(tx.documents().update(before.id, &patch, context.advance_clock()).await?)?;
    assert_eq!((after.title.as_str(), after.classification), ("Pump P-101", Classification::Confidential));
    assert_eq!((&after.tags, &after.doc_type, &after.metadata), (&before.tags, &before.doc_type, &before.metadata));
    assert_eq!(tx.documents().lock(before.id, Classification::Internal).await?, None, "above the clearance");
    assert_eq!(
        tx.documents().classifications(&[before.id, context.new_id()]).await?,
        [(before.id, Classification::Confidential)]
    );
    let ready =
        StatusChange::Ready { title: Some("untitled".into()), page_count: None, chunk_count: 0, warnings: Vec::new() };
    assert!(tx.documents().set_status(before.id, &ready, context.now()).await?);
    let ingested = require(tx.documents().get(before.id, Classification::Restricted).await?)?;
    assert_eq!(ingested.title, "Pump P-101");
    Ok(())
}

/// Answers that were derived from the document are still checked against its classification.
pub async fn the_classification_of_a_deleted_document_is_kept(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let document = context.insert_document(&tenant_a.ada, 'a').await?;
    let raise_classification =
        DocumentPatch { classification: Some(Classification::Restricted), ..DocumentPatch::default() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    require(tx.documents().update(document.id, &raise_classification, context.advance_clock()).await?)?;
    require(tx.documents().delete(document.id).await?)?;
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Restricted).await?, None);
    assert_eq!(tx.documents().classifications(&[document.id]).await?, [(document.id, Classification::Restricted)]);
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.documents().classifications(&[document.id]).await?, [], "another tenant's document");
    Ok(())
}

/// The usage is exact within the transaction that changes it, and separate per tenant.
pub async fn storage_usage_follows_inserts_and_deletes(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let first = context.insert_document(&tenant_a.ada, 'a').await?;
    let size = u64::try_from(first.file_size_bytes)?;
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(tx.usage().storage_usage().await?, StorageUsage { documents: 1, bytes: size });
    tx.documents()
        .insert(
            &context.new_document(user_id(&tenant_a.bob)?, 'b'),
            Classification::Restricted,
            context.advance_clock(),
        )
        .await?;
    assert_eq!(tx.usage().storage_usage().await?, StorageUsage { documents: 2, bytes: 2 * size });
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.usage().storage_usage().await?, StorageUsage::default());
    drop(tx);
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(
        tx.usage().storage_usage().await?,
        StorageUsage { documents: 1, bytes: size },
        "uncommitted rows do not count"
    );
    require(tx.documents().delete(first.id).await?)?;
    assert_eq!(tx.usage().storage_usage().await?, StorageUsage::default());
    Ok(())
}
