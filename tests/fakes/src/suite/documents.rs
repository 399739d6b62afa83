//! Cases on documents and their ingestion.

use super::{CaseError, CaseResult, World, owner, some};
use domain::document::{
    DocumentFailure, DocumentFilter, DocumentPatch, DocumentStatus, FailureCode, IngestionProgress, NewDocument,
    Revision, StatusChange,
};
use domain::page::PageRequest;
use domain::ports::{InsertedDocument, StoreError};
use domain::role::Classification;
use domain::tenant::StorageUsage;
use futures::future::join_all;

/// Two tenants may store the same file; one tenant stores it once.
pub async fn identical_content_is_stored_once_per_tenant(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let first = world.document(&here.ada, 'a').await?;
    world.document(&there.ada, 'a').await?;
    let again = NewDocument { filename: "other name.pdf".to_owned(), ..world.new_document(owner(&here.bob)?, 'a') };
    let mut tx = world.begin(&here.bob).await?;
    assert_eq!(
        tx.documents().insert(&again, Classification::Restricted, world.later()).await?,
        InsertedDocument::Duplicate(first)
    );
    Ok(())
}

/// An existing document above the uploader's clearance is not disclosed: the upload becomes a document of its own,
/// shared by all users who cannot see the other one.
pub async fn hidden_identical_content_is_stored_again(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let secret =
        NewDocument { classification: Classification::Restricted, ..world.new_document(owner(&plant.ada)?, 'a') };
    let copy = world.new_document(owner(&plant.bob)?, 'a');
    let again = NewDocument { filename: "again.pdf".to_owned(), ..world.new_document(owner(&plant.bob)?, 'a') };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, world.later()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.bob).await?;
    let InsertedDocument::New(seen) = tx.documents().insert(&copy, Classification::Internal, world.later()).await?
    else {
        return Err("the hidden document was confirmed".into());
    };
    assert_eq!((seen.id, seen.classification), (copy.id, Classification::Internal));
    let known = tx.documents().insert(&again, Classification::Internal, world.later()).await?;
    assert!(matches!(&known, InsertedDocument::Duplicate(known) if known.id == copy.id), "{known:?}");
    tx.commit().await?;
    // A user who sees both gets the first one; a single visible copy is found like any document.
    let mut tx = world.begin(&plant.ada).await?;
    let known = tx.documents().insert(&again, Classification::Restricted, world.later()).await?;
    assert!(matches!(&known, InsertedDocument::Duplicate(known) if known.id == secret.id), "{known:?}");
    some(tx.documents().delete(secret.id).await?)?;
    let known = tx.documents().insert(&again, Classification::Restricted, world.later()).await?;
    assert!(matches!(&known, InsertedDocument::Duplicate(known) if known.id == copy.id), "{known:?}");
    Ok(())
}

/// Two successors would both be in force. A failed successor does not block another one.
pub async fn a_document_has_one_successor_at_a_time(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let old = world.document(&plant.ada, 'a').await?;
    let next = |sha| -> Result<NewDocument, CaseError> {
        let revision = Revision { supersedes: Some(old.id), ..Revision::default() };
        Ok(NewDocument { revision, ..world.new_document(owner(&plant.ada)?, sha) })
    };
    let (first, second) = (next('b')?, next('c')?);
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&first, Classification::Restricted, world.later()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.bob).await?;
    let refused = tx.documents().insert(&second, Classification::Restricted, world.later()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    drop(tx);
    let failure = DocumentFailure { code: FailureCode::NoText, detail: "It holds no text.".to_owned() };
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().advance(first.id, &StatusChange::Failed(failure), world.later()).await?;
    tx.documents().insert(&second, Classification::Restricted, world.later()).await?;
    tx.documents().advance(second.id, &ready, world.later()).await?;
    tx.commit().await?;
    let mut tx = world.begin(&plant.ada).await?;
    let again = tx.documents().advance(first.id, &StatusChange::Queued, world.later()).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    drop(tx);
    let mut tx = world.begin(&plant.ada).await?;
    let seen = some(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(seen.superseded_by, Some(second.id));
    Ok(())
}

/// Of concurrent uploads that supersede the same document, exactly one succeeds.
pub async fn of_concurrent_successors_one_is_inserted(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let old = world.document(&plant.ada, 'a').await?;
    let uploader = owner(&plant.ada)?;
    let revisions: Vec<NewDocument> = ('b'..='f')
        .map(|sha| {
            let revision = Revision { supersedes: Some(old.id), ..Revision::default() };
            NewDocument { revision, ..world.new_document(uploader, sha) }
        })
        .collect();
    let ada = &plant.ada;
    let upload = |new: NewDocument| async move {
        let mut tx = world.begin(ada).await.map_err(|error| error.to_string())?;
        match tx.documents().insert(&new, Classification::Restricted, world.now()).await {
            Ok(InsertedDocument::New(_)) => tx.commit().await.map(|()| true).map_err(|error| error.to_string()),
            Err(StoreError::Conflict { what }) => {
                assert!(what.contains("supersedes"), "{what}");
                Ok(false)
            }
            other => Err(format!("{other:?}")),
        }
    };
    let ends: Result<Vec<bool>, String> = join_all(revisions.into_iter().map(upload)).await.into_iter().collect();
    assert_eq!(ends?.into_iter().filter(|got_in| *got_in).count(), 1);
    Ok(())
}

/// Concurrent uploads of content that is hidden from the uploaders share one new copy.
pub async fn of_concurrent_copies_one_is_stored(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let uploader = owner(&plant.ada)?;
    let secret = NewDocument { classification: Classification::Restricted, ..world.new_document(uploader, 'a') };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, world.now()).await?;
    tx.commit().await?;
    let ada = &plant.ada;
    let upload = |new: NewDocument| async move {
        let mut tx = world.begin(ada).await.map_err(|error| error.to_string())?;
        let inserted = tx.documents().insert(&new, Classification::Internal, world.now()).await;
        tx.commit().await.map_err(|error| error.to_string())?;
        match inserted {
            Ok(InsertedDocument::New(document)) => Ok((true, document.id)),
            Ok(InsertedDocument::Duplicate(document)) => Ok((false, document.id)),
            Err(error) => Err(error.to_string()),
        }
    };
    let copies: Vec<NewDocument> = (0..5).map(|_| world.new_document(uploader, 'a')).collect();
    let ends: Result<Vec<_>, String> = join_all(copies.into_iter().map(upload)).await.into_iter().collect();
    let ends = ends?;
    assert_eq!(ends.iter().filter(|(new, _)| *new).count(), 1, "{ends:?}");
    assert!(ends.iter().all(|(_, id)| *id == ends[0].1 && *id != secret.id), "{ends:?}");
    Ok(())
}

/// The clearance always applies, in addition to the filter.
pub async fn documents_are_listed_by_clearance_and_filter(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let plain = world.document(&plant.ada, 'a').await?;
    let secret = NewDocument {
        classification: Classification::Restricted,
        doc_type: Some("report".to_owned()),
        tags: vec!["pumps".to_owned(), "2026".to_owned()],
        ..world.new_document(owner(&plant.ada)?, 'b')
    };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, world.later()).await?;
    let page = PageRequest::default();
    let everything = DocumentFilter::default();
    let cases = [
        (everything.clone(), Classification::Restricted, vec![secret.id, plain.id]),
        (everything.clone(), Classification::Confidential, vec![plain.id]),
        (everything.clone(), Classification::Public, vec![]),
        (
            DocumentFilter { tag: Some("2026".into()), ..everything.clone() },
            Classification::Restricted,
            vec![secret.id],
        ),
        (DocumentFilter { tag: Some("2026".into()), ..everything.clone() }, Classification::Internal, vec![]),
        (
            DocumentFilter { doc_type: Some("manual".into()), ..everything.clone() },
            Classification::Restricted,
            vec![plain.id],
        ),
        (DocumentFilter { status: Some(DocumentStatus::Ready), ..everything }, Classification::Restricted, vec![]),
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
pub async fn a_document_moves_through_ingestion(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let document = world.document(&plant.ada, 'a').await?;
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
    for (progress, status, failure) in steps {
        let now = world.later();
        let mut tx = world.begin(&plant.ada).await?;
        assert!(tx.documents().advance(document.id, &progress, now).await?);
        let moved = some(tx.documents().get(document.id, Classification::Internal).await?)?;
        assert_eq!((moved.status, moved.failure, moved.updated_at), (status, failure, now));
        tx.commit().await?;
    }
    let mut tx = world.begin(&plant.ada).await?;
    let moved = some(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!((moved.title.as_str(), moved.page_count, moved.chunk_count), ("Its own title", Some(2), 7));
    assert_eq!(moved.warnings, ["page 2 without text"]);
    assert_eq!(tx.documents().delete(document.id).await?, Some(moved));
    assert_eq!(tx.documents().delete(document.id).await?, None);
    Ok(())
}

/// Progress is stored while a document is being processed, and removed afterwards.
pub async fn progress_is_shown_while_a_document_is_processed(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let document = world.document(&plant.ada, 'a').await?;
    let progress = IngestionProgress { pages_read: 3, page_count: Some(9), ..IngestionProgress::default() };
    let mut tx = world.begin(&plant.ada).await?;
    assert!(!tx.documents().report(document.id, progress).await?, "it is not being processed yet");
    tx.documents().advance(document.id, &StatusChange::Processing, world.now()).await?;
    assert!(tx.documents().report(document.id, progress).await?);
    let seen = some(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!(seen.progress, Some(progress));
    let failure = DocumentFailure { code: FailureCode::Timeout, detail: "It took too long.".to_owned() };
    tx.documents().advance(document.id, &StatusChange::Failed(failure), world.now()).await?;
    let seen = some(tx.documents().get(document.id, Classification::Internal).await?)?;
    assert_eq!(seen.progress, None);
    assert!(!tx.documents().report(document.id, progress).await?, "it is no longer being processed");
    Ok(())
}

/// The upload alone does not replace the predecessor, and deleting the successor puts the predecessor in force again.
pub async fn a_revision_replaces_its_predecessor_once_searchable(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let old = world.document(&plant.ada, 'a').await?;
    let revision = Revision { label: Some("C".to_owned()), effective_from: None, supersedes: Some(old.id) };
    let new = NewDocument { revision: revision.clone(), ..world.new_document(owner(&plant.ada)?, 'b') };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&new, Classification::Restricted, world.later()).await?;
    let seen = some(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(seen.superseded_by, None);
    let ready = StatusChange::Ready { title: None, page_count: None, chunk_count: 1, warnings: Vec::new() };
    tx.documents().advance(new.id, &ready, world.later()).await?;
    let seen = some(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(seen.superseded_by, Some(new.id));
    let seen = some(tx.documents().get(new.id, Classification::Internal).await?)?;
    assert_eq!((seen.revision, seen.superseded_by), (revision, None));
    tx.documents().delete(new.id).await?;
    let seen = some(tx.documents().get(old.id, Classification::Internal).await?)?;
    assert_eq!(seen.superseded_by, None);
    Ok(())
}

/// No method of the repository returns or changes a document of another tenant.
pub async fn nobody_else_sees_a_tenants_document(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document = world.document(&here.ada, 'a').await?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Restricted).await?, None);
    let (all, page) = (DocumentFilter::default(), PageRequest::default());
    assert_eq!(tx.documents().list(&all, Classification::Restricted, &page).await?.items, []);
    assert!(!tx.documents().advance(document.id, &StatusChange::Processing, world.now()).await?);
    assert_eq!(tx.documents().delete(document.id).await?, None);
    assert!(tx.chunks().replace(document.id, "m", &[], world.now()).await.is_err());
    drop(tx);
    let mut tx = world.begin(&here.bob).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Internal).await?, Some(document));
    Ok(())
}

/// A title that a user has set is kept when the document is ingested.
pub async fn a_document_changes_only_where_the_patch_says(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let before = world.document(&here.ada, 'a').await?;
    let patch = DocumentPatch {
        title: Some("Pump P-101".to_owned()),
        classification: Some(Classification::Confidential),
        ..DocumentPatch::default()
    };
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.documents().update(before.id, &patch, world.now()).await?, None, "another tenant's");
    assert_eq!(tx.documents().lock(before.id, Classification::Restricted).await?, None);
    assert_eq!(tx.documents().classes(&[before.id]).await?, []);
    drop(tx);
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(some(tx.documents().lock(before.id, before.classification).await?)?, before);
    let after = some(tx.documents().update(before.id, &patch, world.later()).await?)?;
    assert_eq!((after.title.as_str(), after.classification), ("Pump P-101", Classification::Confidential));
    assert_eq!((&after.tags, &after.doc_type, &after.metadata), (&before.tags, &before.doc_type, &before.metadata));
    assert_eq!(tx.documents().lock(before.id, Classification::Internal).await?, None, "above the clearance");
    assert_eq!(tx.documents().classes(&[before.id, world.id()]).await?, [(before.id, Classification::Confidential)]);
    let ready =
        StatusChange::Ready { title: Some("untitled".into()), page_count: None, chunk_count: 0, warnings: Vec::new() };
    assert!(tx.documents().advance(before.id, &ready, world.now()).await?);
    let ingested = some(tx.documents().get(before.id, Classification::Restricted).await?)?;
    assert_eq!(ingested.title, "Pump P-101");
    Ok(())
}

/// Answers that were derived from the document are still checked against its class.
pub async fn the_class_of_a_deleted_document_is_remembered(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let document = world.document(&here.ada, 'a').await?;
    let raised = DocumentPatch { classification: Some(Classification::Restricted), ..DocumentPatch::default() };
    let mut tx = world.begin(&here.ada).await?;
    some(tx.documents().update(document.id, &raised, world.later()).await?)?;
    some(tx.documents().delete(document.id).await?)?;
    tx.commit().await?;
    let mut tx = world.begin(&here.bob).await?;
    assert_eq!(tx.documents().get(document.id, Classification::Restricted).await?, None);
    assert_eq!(tx.documents().classes(&[document.id]).await?, [(document.id, Classification::Restricted)]);
    drop(tx);
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.documents().classes(&[document.id]).await?, [], "another tenant's");
    Ok(())
}

/// The usage is exact within the transaction that changes it, and separate per tenant.
pub async fn storage_usage_follows_inserts_and_deletes(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let first = world.document(&here.ada, 'a').await?;
    let size = u64::try_from(first.file_size_bytes)?;
    let mut tx = world.begin(&here.bob).await?;
    assert_eq!(tx.usage().storage().await?, StorageUsage { documents: 1, bytes: size });
    tx.documents()
        .insert(&world.new_document(owner(&here.bob)?, 'b'), Classification::Restricted, world.later())
        .await?;
    assert_eq!(tx.usage().storage().await?, StorageUsage { documents: 2, bytes: 2 * size });
    drop(tx);
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.usage().storage().await?, StorageUsage::default());
    drop(tx);
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(
        tx.usage().storage().await?,
        StorageUsage { documents: 1, bytes: size },
        "uncommitted rows do not count"
    );
    some(tx.documents().delete(first.id).await?)?;
    assert_eq!(tx.usage().storage().await?, StorageUsage::default());
    Ok(())
}
