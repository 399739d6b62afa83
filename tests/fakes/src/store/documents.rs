//! The in-memory repository of documents.

use super::{InMemoryTx, Row, page_of};
use async_trait::async_trait;
use domain::document::{
    Document, DocumentFilter, DocumentPatch, DocumentStatus, IngestionProgress, NewDocument, StatusChange,
};
use domain::ids::DocumentId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{DocumentRepo, InsertDocumentOutcome, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;

#[async_trait]
impl DocumentRepo for InMemoryTx {
    async fn insert(
        &mut self,
        document: &NewDocument,
        clearance: Classification,
        now: Timestamp,
    ) -> Result<InsertDocumentOutcome, StoreError> {
        let (in_tenant, tenant, team) = (self.space_filter(), self.space(), self.scope.team());
        let state = self.write().await?;
        let is_duplicate = |r: &&Row<Document>| {
            in_tenant(r) && r.value.sha256 == document.sha256 && r.value.classification <= clearance
        };
        if let Some(duplicate) = state.documents.iter().find(is_duplicate) {
            return Ok(InsertDocumentOutcome::Duplicate(duplicate.value.clone()));
        }
        let documents: Vec<&Document> = state.documents.iter().filter(|r| in_tenant(r)).map(|r| &r.value).collect();
        ensure_single_successor(&documents, document.id, document.revision.supersedes)?;
        let value = Document { team_id: team, ..new_document_row(document, now) };
        state.documents.push(Row { tenant, user: None, value: value.clone() });
        Ok(InsertDocumentOutcome::New(value))
    }

    async fn get(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        let in_tenant = self.space_filter();
        let found = self.read(|s| {
            let mut rows = s.documents.iter().filter(|r| in_tenant(r) && r.value.classification <= clearance);
            rows.find(|r| r.value.id == id).map(|r| r.value.clone())
        });
        Ok(found)
    }

    async fn list(
        &mut self,
        filter: &DocumentFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Document>, StoreError> {
        let in_tenant = self.space_filter();
        let matches_filter = |d: &Document| {
            d.classification <= clearance
                && filter.status.is_none_or(|status| d.status == status)
                && filter.tag.as_ref().is_none_or(|tag| d.tags.contains(tag))
                && (filter.doc_type.is_none() || d.doc_type == filter.doc_type)
        };
        let rows = self.read(|s| {
            s.documents.iter().filter(|r| in_tenant(r) && matches_filter(&r.value)).map(|r| r.value.clone()).collect()
        });
        Ok(page_of(rows, page, |row: &Document| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn lock(&mut self, id: DocumentId, clearance: Classification) -> Result<Option<Document>, StoreError> {
        self.write().await?;
        DocumentRepo::get(self, id, clearance).await
    }

    async fn update(
        &mut self,
        id: DocumentId,
        patch: &DocumentPatch,
        now: Timestamp,
    ) -> Result<Option<Document>, StoreError> {
        let in_tenant = self.space_filter();
        let state = self.write().await?;
        let Some(row) = state.documents.iter_mut().find(|r| in_tenant(r) && r.value.id == id) else { return Ok(None) };
        let document = &mut row.value;
        let DocumentPatch { title, doc_type, tags, classification, metadata } = patch.clone();
        if let Some(title) = title {
            document.title = title;
            state.user_titled_documents.insert(id);
        }
        document.doc_type = doc_type.or(document.doc_type.take());
        document.tags = tags.unwrap_or_else(|| std::mem::take(&mut document.tags));
        document.classification = classification.unwrap_or(document.classification);
        document.metadata = metadata.unwrap_or_else(|| document.metadata.take());
        document.updated_at = now;
        Ok(Some(document.clone()))
    }

    async fn classifications(&mut self, ids: &[DocumentId]) -> Result<Vec<(DocumentId, Classification)>, StoreError> {
        let in_tenant = self.space_filter();
        let is_requested = |r: &&Row<Document>| in_tenant(r) && ids.contains(&r.value.id);
        let tenant = self.space();
        Ok(self.read(|s| {
            let existing = s.documents.iter().filter(is_requested).map(|r| (r.value.id, r.value.classification));
            let deleted = s.deleted_documents.iter().filter(|(owner, id, _)| *owner == tenant && ids.contains(id));
            existing.chain(deleted.map(|(_, id, classification)| (*id, *classification))).collect()
        }))
    }

    async fn set_status(&mut self, id: DocumentId, change: &StatusChange, now: Timestamp) -> Result<bool, StoreError> {
        let in_tenant = self.space_filter();
        let state = self.write().await?;
        let documents: Vec<&Document> = state.documents.iter().filter(|r| in_tenant(r)).map(|r| &r.value).collect();
        let target = documents.iter().find(|document| document.id == id);
        if let Some(target) = target.filter(|_| !matches!(change, StatusChange::Failed(_))) {
            ensure_single_successor(&documents, id, target.revision.supersedes)?;
        }
        let Some(row) = state.documents.iter_mut().find(|r| in_tenant(r) && r.value.id == id) else { return Ok(false) };
        let document = &mut row.value;
        document.updated_at = now;
        document.failure = None;
        document.progress = None;
        let mut superseded_id = None;
        match change {
            StatusChange::Queued => document.status = DocumentStatus::Pending,
            StatusChange::Processing => document.status = DocumentStatus::Processing,
            StatusChange::Ready { title, page_count, chunk_count, warnings } => {
                document.status = DocumentStatus::Ready;
                if let Some(title) = title.as_ref().filter(|_| !state.user_titled_documents.contains(&id)) {
                    document.title.clone_from(title);
                }
                (document.page_count, document.chunk_count) = (*page_count, *chunk_count);
                document.warnings.clone_from(warnings);
                superseded_id = document.revision.supersedes;
            }
            StatusChange::Failed(failure) => {
                document.status = DocumentStatus::Failed;
                document.failure = Some(failure.clone());
            }
        }
        let predecessor = state.documents.iter_mut().find(|r| in_tenant(r) && Some(r.value.id) == superseded_id);
        if let Some(predecessor) = predecessor {
            predecessor.value.superseded_by.get_or_insert(id);
        }
        Ok(true)
    }

    async fn update_progress(&mut self, id: DocumentId, progress: IngestionProgress) -> Result<bool, StoreError> {
        let in_tenant = self.space_filter();
        let state = self.write().await?;
        let is_processing = |d: &Document| d.id == id && d.status == DocumentStatus::Processing;
        let Some(row) = state.documents.iter_mut().find(|r| in_tenant(r) && is_processing(&r.value)) else {
            return Ok(false);
        };
        row.value.progress = Some(progress);
        Ok(true)
    }

    async fn delete(&mut self, id: DocumentId) -> Result<Option<Document>, StoreError> {
        let in_tenant = self.space_filter();
        let state = self.write().await?;
        let Some(index) = state.documents.iter().position(|r| in_tenant(r) && r.value.id == id) else {
            return Ok(None);
        };
        state.chunks.retain(|r| r.value.document != id);
        state.published_models.remove(&id);
        state.jobs.retain(|job| job.payload.document() != Some(id));
        for other in state.documents.iter_mut().map(|r| &mut r.value) {
            other.superseded_by = other.superseded_by.filter(|by| *by != id);
            other.revision.supersedes = other.revision.supersedes.filter(|superseded| *superseded != id);
        }
        let Row { tenant, value, .. } = state.documents.remove(index);
        state.deleted_documents.push((tenant, id, value.classification));
        Ok(Some(value))
    }
}

/// Checks that no other document of the tenant supersedes the same document. Failed ones are ignored.
fn ensure_single_successor(
    documents: &[&Document],
    id: DocumentId,
    superseded: Option<DocumentId>,
) -> Result<(), StoreError> {
    let Some(superseded) = superseded else { return Ok(()) };
    let is_other_successor = |document: &&Document| {
        document.id != id
            && document.revision.supersedes == Some(superseded)
            && document.status != DocumentStatus::Failed
    };
    let reason = "Another revision already supersedes this document.";
    if documents.iter().copied().any(|document| is_other_successor(&document)) {
        Err(StoreError::Conflict { reason })
    } else {
        Ok(())
    }
}

fn new_document_row(new: &NewDocument, now: Timestamp) -> Document {
    Document {
        id: new.id,
        filename: new.filename.clone(),
        title: new.title.clone(),
        mime_type: new.mime_type.clone(),
        file_size_bytes: new.file_size_bytes,
        sha256: new.sha256.clone(),
        storage_path: new.storage_path.clone(),
        doc_type: new.doc_type.clone(),
        tags: new.tags.clone(),
        classification: new.classification,
        status: DocumentStatus::Pending,
        failure: None,
        progress: None,
        warnings: Vec::new(),
        revision: new.revision.clone(),
        superseded_by: None,
        page_count: None,
        chunk_count: 0,
        metadata: new.metadata.clone(),
        uploaded_by: new.uploaded_by,
        team_id: None,
        created_at: now,
        updated_at: now,
    }
}
