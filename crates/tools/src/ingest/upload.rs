//! Accepts an upload: detects the type from the first bytes, stores the file, then inserts the document and its job in
//! one transaction. A document row never exists without its file. A file without a row is deleted, unless it is unknown
//! whether the row was committed.

use super::inner::IngestInner;
use super::readers::{Format, sniff};
use crate::error::IngestError;
use bytes::{Bytes, BytesMut};
use domain::authorized::Permit;
use domain::document::{Document, DocumentStatus, NewDocument, Revision, StatusChange};
use domain::ids::{DocumentId, JobId, TenantId, UserId};
use domain::ports::{BlobError, BlobStore, ByteStream, InsertDocumentOutcome, StoreError, StoredBlob, TenantTx};
use domain::retry;
use domain::role::Classification;
use domain::text::{RevisionLabel, ShortText};
use domain::upload::{FieldError, Upload, UploadForm, UploadOutcome};
use futures::future;
use futures::stream::{self, StreamExt};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Number of bytes inspected before anything is stored: enough to recognize the parts of a DOCX archive.
const HEAD_BYTES: usize = 64 << 10;

impl IngestInner {
    /// The implementation of [`super::interface::Ingest::accept`].
    pub(super) async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError> {
        let user = permit.scope().user().ok_or(IngestError::NoUser)?;
        let quota = self.remaining_quota(permit, user).await?;
        let received = self.receive_while_allowed(permit, self.receive(permit, upload, quota)).await?;
        let ReceivedUpload { stored, form, format } = received;
        let document = self.new_document(user, &stored.blob, form, format);
        self.insert_document(permit, document, stored).await
    }

    /// Reads the whole body and stores the file within the remaining quota. If the quota is exhausted, the file is only
    /// hashed, because a duplicate of a stored file is still accepted.
    async fn receive(&self, permit: &Permit, upload: Upload, quota: u64) -> Result<ReceivedUpload, IngestError> {
        let Upload { mut bytes, form } = upload;
        let head = read_head(&mut bytes).await?;
        if head.is_empty() {
            // If no file was sent at all, the form returns its own error.
            form.await?;
            return Err(IngestError::InvalidForm(FieldError {
                pointer: "/file".to_owned(),
                detail: "The file is empty.".to_owned(),
            }));
        }
        if sniff(&head, "").is_none() {
            return Err(IngestError::UnsupportedType);
        }
        let full_body = stream::once(future::ready(Ok(head.clone()))).chain(bytes).boxed();
        let stored = match quota {
            0 => self.stored_upload(permit.scope().tenant(), digest(full_body, self.settings.max_upload_bytes).await?),
            quota => self.store_blob(permit.scope().tenant(), full_body, quota).await?,
        };
        let form = form.await?;
        let format = sniff(&head, &form.filename).ok_or(IngestError::UnsupportedType)?;
        Ok(ReceivedUpload { stored, form, format })
    }

    /// The implementation of [`super::interface::Ingest::requeue`].
    pub(super) async fn requeue(&self, permit: &Permit, id: DocumentId) -> Result<Option<Document>, IngestError> {
        let (now, clearance) = (self.ports.clock.now(), permit.clearance());
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let Some(document) = tx.documents().get(id, clearance).await? else { return Ok(None) };
        if matches!(document.status, DocumentStatus::Pending | DocumentStatus::Processing) {
            return Ok(Some(document));
        }
        tx.jobs().enqueue_ingestion(JobId::from_uuid(self.ports.ids.uuid()), id, now).await?;
        tx.documents().set_status(id, &StatusChange::Queued, now).await?;
        let queued = tx.documents().get(id, clearance).await?;
        tx.commit().await?;
        Ok(queued)
    }

    async fn store_blob(&self, tenant: TenantId, bytes: ByteStream, quota: u64) -> Result<StoredUpload, IngestError> {
        let max_bytes = self.settings.max_upload_bytes;
        match self.ports.blobs.put(tenant, bytes, max_bytes.min(quota)).await {
            Ok(blob) => Ok(self.stored_upload(tenant, blob)),
            Err(BlobError::TooLarge { limit }) if limit < max_bytes => Err(IngestError::QuotaExceeded),
            Err(error) => Err(error.into()),
        }
    }

    fn stored_upload(&self, tenant: TenantId, blob: StoredBlob) -> StoredUpload {
        StoredUpload {
            blob,
            tenant,
            blobs: Arc::clone(&self.ports.blobs),
            tracker: self.tracker.clone(),
            keep_on_drop: false,
        }
    }

    fn new_document(&self, user: UserId, blob: &StoredBlob, form: UploadForm, format: Format) -> NewDocument {
        NewDocument {
            id: DocumentId::from_uuid(self.ports.ids.uuid()),
            title: title_from_filename(&form.filename),
            mime_type: format.mime_type().to_owned(),
            file_size_bytes: i64::try_from(blob.size).unwrap_or(i64::MAX),
            sha256: blob.sha256.clone(),
            storage_path: blob.key.clone(),
            classification: form.classification.unwrap_or_else(|| classification_from_tags(&form.tags)),
            filename: form.filename,
            revision: Revision {
                label: form.revision.map(RevisionLabel::into_string),
                effective_from: form.effective_from,
                supersedes: form.supersedes,
            },
            doc_type: form.doc_type.map(ShortText::into_string),
            tags: form.tags.into_iter().map(ShortText::into_string).collect(),
            metadata: form.metadata,
            uploaded_by: user,
        }
    }

    /// Inserts the document and its job in one transaction, which also checks the uploader's current rights.
    async fn insert_document(
        &self,
        permit: &Permit,
        document: NewDocument,
        mut stored: StoredUpload,
    ) -> Result<UploadOutcome, IngestError> {
        self.check_deadline(permit)?;
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let rights = self.current_rights(&mut *tx, permit).await?;
        let clearance = rights.clearance();
        if document.classification > clearance {
            let detail = format!("is {}, which is above your clearance", document.classification);
            return Err(FieldError { pointer: "/classification".to_owned(), detail }.into());
        }
        if let Some(old) = document.revision.supersedes {
            self.check_supersede(&mut *tx, permit, &rights, old).await?;
        }
        let outcome = match tx.documents().insert(&document, clearance, now).await? {
            InsertDocumentOutcome::New(new) => {
                if stored.is_hash_only() {
                    return Err(IngestError::QuotaExceeded);
                }
                check_quota(&mut *tx, new.uploaded_by).await?;
                UploadOutcome::Created(new)
            }
            InsertDocumentOutcome::Duplicate(existing) => UploadOutcome::Duplicate(existing),
        };
        if let Some(id) = document_to_ingest(&outcome) {
            let job = JobId::from_uuid(self.ports.ids.uuid());
            tx.jobs().enqueue_ingestion(job, id, now).await?;
            tx.documents().set_status(id, &StatusChange::Queued, now).await?;
        }
        stored.keep_on_drop = matches!(outcome, UploadOutcome::Created(_));
        if let Err(error) = tx.commit().await {
            if stored.keep_on_drop {
                self.resolve_unconfirmed_commit(permit, document, stored);
            }
            return Err(error.into());
        }
        Ok(outcome)
    }

    /// After a failed commit, deletes the file unless the document was inserted anyway: a commit may succeed although
    /// its confirmation was lost.
    fn resolve_unconfirmed_commit(&self, permit: &Permit, document: NewDocument, stored: StoredUpload) {
        let (ports, scope) = (self.ports.clone(), permit.scope().clone());
        self.tracker.spawn(async move {
            let attempt = || async {
                let mut tx = ports.store.begin(&scope).await?;
                // This insert waits until the unconfirmed transaction ends, and then shows whether it was committed.
                // The insert itself is never committed.
                let found = tx.documents().insert(&document, Classification::Restricted, ports.clock.now()).await;
                match found {
                    Ok(InsertDocumentOutcome::New(_)) => {
                        drop(tx);
                        stored.remove().await;
                        Ok(())
                    }
                    // The row exists, or may exist; keep the file, because an orphaned file only costs space.
                    Ok(InsertDocumentOutcome::Duplicate(_)) | Err(StoreError::Conflict { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            };
            if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                tracing::warn!(%error, "it is unknown whether an upload was recorded; its file is kept");
            }
        });
    }
}

/// Checks the quota after the new document has been inserted in `tx`; on error the caller must not commit.
async fn check_quota(tx: &mut dyn TenantTx, user: UserId) -> Result<(), IngestError> {
    let member = tx.users().membership(user).await?;
    let quotas = member.map(|member| member.settings.quotas).unwrap_or_default();
    if quotas.exceeded_by(tx.usage().storage_usage().await?) { Err(IngestError::QuotaExceeded) } else { Ok(()) }
}

/// The document whose ingestion must be queued: a new one, or a duplicate whose earlier ingestion failed.
fn document_to_ingest(outcome: &UploadOutcome) -> Option<DocumentId> {
    match outcome {
        UploadOutcome::Created(document) => Some(document.id),
        UploadOutcome::Duplicate(Document { id, status, .. }) => (*status == DocumentStatus::Failed).then_some(*id),
    }
}

/// An upload whose body has been received completely.
struct ReceivedUpload {
    stored: StoredUpload,
    form: UploadForm,
    format: Format,
}

/// The blob of an upload. If its bytes were stored, they are deleted on drop unless `keep_on_drop` is set.
struct StoredUpload {
    blob: StoredBlob,
    tenant: TenantId,
    blobs: Arc<dyn BlobStore>,
    tracker: TaskTracker,
    keep_on_drop: bool,
}

impl StoredUpload {
    /// Whether the bytes were only hashed and not stored, because the quota is exhausted.
    fn is_hash_only(&self) -> bool {
        self.blob.key.is_empty()
    }

    async fn remove(&self) {
        remove(&*self.blobs, self.tenant, &self.blob.key).await;
    }
}

impl Drop for StoredUpload {
    fn drop(&mut self) {
        if self.keep_on_drop || self.is_hash_only() {
            return;
        }
        let (blobs, tenant, key) = (Arc::clone(&self.blobs), self.tenant, std::mem::take(&mut self.blob.key));
        self.tracker.spawn(async move { remove(&*blobs, tenant, &key).await });
    }
}

async fn remove(blobs: &dyn BlobStore, tenant: TenantId, key: &str) {
    if let Err(error) = blobs.delete(tenant, key).await {
        tracing::warn!(%error, "the file of a failed upload could not be deleted");
    }
}

/// Computes the size and the SHA-256 of a file without storing it; the returned blob has an empty key.
async fn digest(mut bytes: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError> {
    let (mut size, mut digest) = (0_u64, Sha256::new());
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > max_bytes {
            return Err(BlobError::TooLarge { limit: max_bytes });
        }
        digest.update(&piece);
    }
    Ok(StoredBlob { key: String::new(), size, sha256: format!("{:x}", digest.finalize()) })
}

/// Reads at least [`HEAD_BYTES`] bytes, or the whole file if it is shorter.
async fn read_head(bytes: &mut ByteStream) -> Result<Bytes, BlobError> {
    let mut head = BytesMut::new();
    while head.len() < HEAD_BYTES {
        match bytes.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => break,
        }
    }
    Ok(head.freeze())
}

/// Initial title of a document: the file name without extension, with spaces for underscores.
fn title_from_filename(filename: &str) -> String {
    let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
    let title = stem.replace('_', " ");
    let title = title.trim();
    if title.is_empty() { filename } else { title }.to_owned()
}

/// The highest classification that is the name of a tag; `internal` if there is none.
fn classification_from_tags(tags: &[ShortText]) -> Classification {
    let classifications = tags.iter().filter_map(|tag| tag.as_str().to_lowercase().parse().ok());
    classifications.max().unwrap_or(Classification::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_file_name_without_its_extension() {
        for (filename, title) in [
            ("SOP-017_valve_maintenance.pdf", "SOP-017 valve maintenance"),
            ("readme", "readme"),
            (".md", ".md"),
            ("v1.2 manual.docx", "v1.2 manual"),
        ] {
            assert_eq!(title_from_filename(filename), title);
        }
    }

    #[test]
    fn the_highest_classification_named_by_a_tag_applies() {
        let parse_tags =
            |tags: &[&str]| -> Vec<ShortText> { tags.iter().filter_map(|tag| ShortText::parse(tag).ok()).collect() };
        assert_eq!(classification_from_tags(&parse_tags(&["pump", "Public"])), Classification::Public);
        assert_eq!(classification_from_tags(&parse_tags(&["public", "restricted"])), Classification::Restricted);
        assert_eq!(classification_from_tags(&parse_tags(&["pump"])), Classification::Internal);
    }
}
