//! Taking an upload: the type is told from the first bytes, the bytes are stored, then document and job are recorded
//! together. A row never stands without its file; a file without a row is removed.

use super::readers::{Format, sniff};
use super::service::IngestWork;
use crate::error::IngestError;
use bytes::{Bytes, BytesMut};
use domain::authorized::Permit;
use domain::command::UploadForm;
use domain::document::{Document, DocumentStatus, NewDocument, Revision, StatusChange};
use domain::ids::{DocumentId, JobId, TenantId, UserId};
use domain::ports::{BlobError, BlobStore, ByteStream, InsertedDocument, StoreError, StoredBlob, TenantTx};
use domain::retry;
use domain::role::Classification;
use domain::text::{Label, RevisionLabel};
use domain::upload::{FieldError, Upload, UploadOutcome};
use futures::future;
use futures::stream::{self, StreamExt};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Bytes looked at before anything is stored: enough to find the parts of a word processing document.
const HEAD: usize = 64 << 10;

impl IngestWork {
    /// See [`super::accept::Ingest::accept`].
    pub(super) async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError> {
        let user = permit.scope().user().ok_or(IngestError::NoUser)?;
        let room = self.room(permit, user).await?;
        let received = self.while_allowed(permit, self.receive(permit, upload, room)).await?;
        let Received { kept, form, format } = received;
        let document = self.describe(user, &kept.blob, form, format);
        self.record(permit, document, kept).await
    }

    /// Reads the whole body and stores the file, as far as the tenant has room. Where there is none, it is only known
    /// afterwards which bytes they were: those that the tenant has already need no room.
    async fn receive(&self, permit: &Permit, upload: Upload, room: u64) -> Result<Received, IngestError> {
        let Upload { mut bytes, form } = upload;
        let head = read_head(&mut bytes).await?;
        if head.is_empty() {
            // The form knows better whether the file is empty or missing.
            form.await?;
            return Err(IngestError::Form(FieldError {
                pointer: "/file".to_owned(),
                detail: "The file is empty.".to_owned(),
            }));
        }
        if sniff(&head, "").is_none() {
            return Err(IngestError::UnsupportedType);
        }
        let whole = stream::once(future::ready(Ok(head.clone()))).chain(bytes).boxed();
        let kept = match room {
            0 => self.kept(permit.scope().tenant(), digest(whole, self.settings.max_upload_bytes).await?),
            room => self.keep(permit.scope().tenant(), whole, room).await?,
        };
        let form = form.await?;
        let format = sniff(&head, &form.filename).ok_or(IngestError::UnsupportedType)?;
        Ok(Received { kept, form, format })
    }

    /// See [`super::accept::Ingest::requeue`].
    pub(super) async fn requeue(&self, permit: &Permit, id: DocumentId) -> Result<Option<Document>, IngestError> {
        let (now, clearance) = (self.ports.clock.now(), permit.clearance());
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let Some(document) = tx.documents().get(id, clearance).await? else { return Ok(None) };
        if matches!(document.status, DocumentStatus::Pending | DocumentStatus::Processing) {
            return Ok(Some(document));
        }
        tx.jobs().enqueue_ingestion(JobId::from_uuid(self.ports.ids.uuid()), id, now).await?;
        tx.documents().advance(id, &StatusChange::Queued, now).await?;
        let queued = tx.documents().get(id, clearance).await?;
        tx.commit().await?;
        Ok(queued)
    }

    async fn keep(&self, tenant: TenantId, whole: ByteStream, room: u64) -> Result<Kept, IngestError> {
        let most = self.settings.max_upload_bytes;
        match self.ports.blobs.put(tenant, whole, most.min(room)).await {
            Ok(blob) => Ok(self.kept(tenant, blob)),
            Err(BlobError::TooLarge { limit }) if limit < most => Err(IngestError::QuotaExceeded),
            Err(error) => Err(error.into()),
        }
    }

    fn kept(&self, tenant: TenantId, blob: StoredBlob) -> Kept {
        Kept { blob, tenant, blobs: Arc::clone(&self.ports.blobs), tracker: self.tracker.clone(), needed: false }
    }

    fn describe(&self, user: UserId, blob: &StoredBlob, form: UploadForm, format: Format) -> NewDocument {
        NewDocument {
            id: DocumentId::from_uuid(self.ports.ids.uuid()),
            title: title_of(&form.filename),
            mime_type: format.mime_type().to_owned(),
            file_size_bytes: i64::try_from(blob.size).unwrap_or(i64::MAX),
            sha256: blob.sha256.clone(),
            storage_path: blob.key.clone(),
            classification: form.classification.unwrap_or_else(|| classification_of(&form.tags)),
            filename: form.filename,
            revision: Revision {
                label: form.revision.map(RevisionLabel::into_string),
                effective_from: form.effective_from,
                supersedes: form.supersedes,
            },
            doc_type: form.doc_type.map(Label::into_string),
            tags: form.tags.into_iter().map(Label::into_string).collect(),
            metadata: form.metadata,
            uploaded_by: user,
        }
    }

    /// Records document and job, by the rights that the uploader has at this moment.
    async fn record(
        &self,
        permit: &Permit,
        document: NewDocument,
        mut kept: Kept,
    ) -> Result<UploadOutcome, IngestError> {
        self.in_time(permit)?;
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let rights = self.still_allowed(&mut *tx, permit).await?;
        let clearance = rights.clearance();
        if document.classification > clearance {
            let detail = format!("is {}, which is above your clearance", document.classification);
            return Err(FieldError { pointer: "/classification".to_owned(), detail }.into());
        }
        if let Some(old) = document.revision.supersedes {
            self.may_supersede(&mut *tx, (permit, &rights), old).await?;
        }
        let accepted = match tx.documents().insert(&document, clearance, now).await? {
            InsertedDocument::New(new) => {
                if kept.is_missing() {
                    return Err(IngestError::QuotaExceeded);
                }
                within_quota(&mut *tx, new.uploaded_by).await?;
                UploadOutcome::Created(new)
            }
            InsertedDocument::Duplicate(known) => UploadOutcome::Duplicate(known),
        };
        if let Some(id) = to_be_queued(&accepted) {
            let job = JobId::from_uuid(self.ports.ids.uuid());
            tx.jobs().enqueue_ingestion(job, id, now).await?;
            tx.documents().advance(id, &StatusChange::Queued, now).await?;
        }
        kept.needed = matches!(accepted, UploadOutcome::Created(_));
        if let Err(error) = tx.commit().await {
            if kept.needed {
                self.find_out(permit, document, kept);
            }
            return Err(error.into());
        }
        Ok(accepted)
    }

    /// Removes a file unless its document was recorded: the database may have made lasting what it did not confirm.
    fn find_out(&self, permit: &Permit, document: NewDocument, kept: Kept) {
        let (ports, scope) = (self.ports.clone(), permit.scope().clone());
        self.tracker.spawn(async move {
            let attempt = || async {
                let mut tx = ports.store.begin(&scope).await?;
                // Waits for the transaction that was not confirmed, if it has not ended; never committed itself.
                let found = tx.documents().insert(&document, Classification::Restricted, ports.clock.now()).await;
                match found {
                    Ok(InsertedDocument::New(_)) => {
                        drop(tx);
                        kept.remove().await;
                        Ok(())
                    }
                    // Its own row, or one that leaves open whether there is one: a file too many is only lost space.
                    Ok(InsertedDocument::Duplicate(_)) | Err(StoreError::Conflict { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            };
            if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                tracing::warn!(%error, "whether an upload was recorded cannot be found out; its file is kept");
            }
        });
    }
}

/// Whether the tenant still keeps no more than it may, the new document included; otherwise nothing is committed.
async fn within_quota(tx: &mut dyn TenantTx, user: UserId) -> Result<(), IngestError> {
    let member = tx.users().membership(user).await?;
    let quotas = member.map(|member| member.settings.quotas).unwrap_or_default();
    if quotas.exceeded_by(tx.usage().storage().await?) { Err(IngestError::QuotaExceeded) } else { Ok(()) }
}

/// What is new is queued; so is, once more, what failed before.
fn to_be_queued(accepted: &UploadOutcome) -> Option<DocumentId> {
    match accepted {
        UploadOutcome::Created(document) => Some(document.id),
        UploadOutcome::Duplicate(Document { id, status, .. }) => (*status == DocumentStatus::Failed).then_some(*id),
    }
}

/// An upload that came in whole.
struct Received {
    kept: Kept,
    form: UploadForm,
    format: Format,
}

/// A stored blob that is removed again unless it turns out to be needed, whatever way the upload ends.
struct Kept {
    blob: StoredBlob,
    tenant: TenantId,
    blobs: Arc<dyn BlobStore>,
    tracker: TaskTracker,
    needed: bool,
}

impl Kept {
    /// Whether the bytes were only read, for want of room.
    fn is_missing(&self) -> bool {
        self.blob.key.is_empty()
    }

    async fn remove(&self) {
        remove(&*self.blobs, self.tenant, &self.blob.key).await;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.needed || self.is_missing() {
            return;
        }
        let (blobs, tenant, key) = (Arc::clone(&self.blobs), self.tenant, std::mem::take(&mut self.blob.key));
        self.tracker.spawn(async move { remove(&*blobs, tenant, &key).await });
    }
}

async fn remove(blobs: &dyn BlobStore, tenant: TenantId, key: &str) {
    if let Err(error) = blobs.delete(tenant, key).await {
        tracing::warn!(%error, "the file of an upload that came to nothing could not be removed");
    }
}

/// Size and digest of bytes that are not stored.
async fn digest(mut bytes: ByteStream, most: u64) -> Result<StoredBlob, BlobError> {
    let (mut size, mut digest) = (0_u64, Sha256::new());
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > most {
            return Err(BlobError::TooLarge { limit: most });
        }
        digest.update(&piece);
    }
    Ok(StoredBlob { key: String::new(), size, sha256: format!("{:x}", digest.finalize()) })
}

/// Reads up to [`HEAD`] bytes, or the whole of a shorter file.
async fn read_head(bytes: &mut ByteStream) -> Result<Bytes, BlobError> {
    let mut head = BytesMut::new();
    while head.len() < HEAD {
        match bytes.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => break,
        }
    }
    Ok(head.freeze())
}

/// A title until the file's own is known: its name without the extension, underscores as spaces.
fn title_of(filename: &str) -> String {
    let stem = filename.rsplit_once('.').map_or(filename, |(stem, _)| stem);
    let title = stem.replace('_', " ");
    let title = title.trim();
    if title.is_empty() { filename } else { title }.to_owned()
}

/// The classification that the tags ask for, where one of them is a classification's word; the highest, where several
/// are. Otherwise `internal`.
fn classification_of(tags: &[Label]) -> Classification {
    let named = tags.iter().filter_map(|tag| tag.as_str().to_lowercase().parse().ok());
    named.max().unwrap_or(Classification::Internal)
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
            assert_eq!(title_of(filename), title);
        }
    }

    #[test]
    fn sensitivity_tags_classify_and_the_highest_wins() {
        let labels = |tags: &[&str]| -> Vec<Label> { tags.iter().filter_map(|tag| Label::parse(tag).ok()).collect() };
        assert_eq!(classification_of(&labels(&["pump", "Public"])), Classification::Public);
        assert_eq!(classification_of(&labels(&["public", "restricted"])), Classification::Restricted);
        assert_eq!(classification_of(&labels(&["pump"])), Classification::Internal);
    }
}
