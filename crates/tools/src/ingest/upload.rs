//! Taking an upload: the type is told from the first bytes, the bytes are stored, then document and job are recorded
//! together. A row never stands without its file; a file without a row is removed.

use super::readers::{Format, sniff};
use super::service::IngestWork;
use crate::error::IngestError;
use bytes::{Bytes, BytesMut};
use domain::authorized::Permit;
use domain::command::UploadForm;
use domain::document::{Document, DocumentStatus, NewDocument, Progress, Revision};
use domain::ids::{DocumentId, JobId, TenantId, UserId};
use domain::ports::{BlobError, BlobStore, ByteStream, InsertedDocument, StoredBlob, TenantTx};
use domain::role::Classification;
use domain::text::{Label, RevisionLabel};
use domain::upload::{Accepted, FieldError, Upload};
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Bytes looked at before anything is stored: enough to find the parts of a word processing document.
const HEAD: usize = 64 << 10;

impl IngestWork {
    /// See [`super::accept::Ingest::accept`]. Where a commit fails, the database may have made it lasting all the
    /// same: the file is then kept, and may stay without a row.
    pub(super) async fn accept(&self, permit: &Permit, upload: Upload) -> Result<Accepted, IngestError> {
        let user = permit.scope().user().ok_or(IngestError::NoUser)?;
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
        let kept = self.keep(permit.scope().tenant(), head.clone(), bytes).await?;
        let form = form.await?;
        let format = sniff(&head, &form.filename).ok_or(IngestError::UnsupportedType)?;
        let document = self.describe(user, &kept.blob, form, format);
        if document.classification > permit.standing().clearance {
            let detail = format!("is {}, which is above your clearance", document.classification);
            return Err(FieldError { pointer: "/classification".to_owned(), detail }.into());
        }
        self.record(permit, document, kept).await
    }

    /// See [`super::accept::Ingest::requeue`].
    pub(super) async fn requeue(&self, permit: &Permit, id: DocumentId) -> Result<Option<Document>, IngestError> {
        let (now, clearance) = (self.ports.clock.now(), permit.standing().clearance);
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let Some(document) = tx.documents().get(id, clearance).await? else { return Ok(None) };
        if matches!(document.status, DocumentStatus::Pending | DocumentStatus::Processing) {
            return Ok(Some(document));
        }
        tx.jobs().enqueue_ingestion(JobId::from_uuid(self.ports.ids.uuid()), id, now).await?;
        tx.documents().advance(id, &Progress::Queued, now).await?;
        let queued = tx.documents().get(id, clearance).await?;
        tx.commit().await?;
        Ok(queued)
    }

    async fn keep(&self, tenant: TenantId, head: Bytes, rest: ByteStream) -> Result<Kept, BlobError> {
        let whole = stream::once(async { Ok(head) }).chain(rest).boxed();
        let blobs = &self.ports.blobs;
        let blob = blobs.put(tenant, whole, self.settings.max_upload_bytes).await?;
        Ok(Kept { blob, tenant, blobs: Arc::clone(blobs), tracker: self.tracker.clone(), needed: false })
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

    async fn record(&self, permit: &Permit, document: NewDocument, mut kept: Kept) -> Result<Accepted, IngestError> {
        let now = self.ports.clock.now();
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        if let Some(old) = document.revision.supersedes {
            may_supersede(&mut *tx, permit, old).await?;
        }
        let accepted = match tx.documents().insert(&document, permit.standing().clearance, now).await? {
            InsertedDocument::New(new) => {
                within_quota(&mut *tx, new.uploaded_by).await?;
                Accepted::New(new)
            }
            InsertedDocument::Duplicate(known) if known.classification > permit.standing().clearance => {
                return Err(IngestError::Withheld);
            }
            InsertedDocument::Duplicate(known) => Accepted::Known(known),
        };
        if let Some(id) = to_be_queued(&accepted) {
            let job = JobId::from_uuid(self.ports.ids.uuid());
            tx.jobs().enqueue_ingestion(job, id, now).await?;
        }
        kept.needed = matches!(accepted, Accepted::New(_));
        tx.commit().await?;
        Ok(accepted)
    }
}

/// Whether the tenant still keeps no more than it may, the new document included; otherwise nothing is committed.
async fn within_quota(tx: &mut dyn TenantTx, user: UserId) -> Result<(), IngestError> {
    let member = tx.users().membership(user).await?;
    let quotas = member.map(|member| member.settings.quotas).unwrap_or_default();
    if quotas.exceeded_by(tx.usage().kept().await?) { Err(IngestError::QuotaExceeded) } else { Ok(()) }
}

/// Whether the caller may put a new document in the place of `old`: that changes what everybody finds, so it takes what
/// changing `old` itself would take.
async fn may_supersede(tx: &mut dyn TenantTx, permit: &Permit, old: DocumentId) -> Result<(), IngestError> {
    let refused = |detail: &str| FieldError { pointer: "/supersedes".to_owned(), detail: detail.to_owned() };
    let standing = permit.standing();
    let Some(old) = tx.documents().get(old, standing.clearance).await? else {
        return Err(refused("is no document that you can see").into());
    };
    let user = permit.scope().user().ok_or(IngestError::NoUser)?;
    if !standing.may_change_document_of(old.uploaded_by, user) {
        return Err(IngestError::NotYours);
    }
    if old.superseded_by.is_some() {
        return Err(refused("is superseded already; name the revision that took its place").into());
    }
    Ok(())
}

/// What is new is queued; so is, once more, what failed before.
fn to_be_queued(accepted: &Accepted) -> Option<DocumentId> {
    match accepted {
        Accepted::New(document) => Some(document.id),
        Accepted::Known(Document { id, status, .. }) => (*status == DocumentStatus::Failed).then_some(*id),
    }
}

/// A stored blob that is removed again unless it turns out to be needed, whatever way the upload ends.
struct Kept {
    blob: StoredBlob,
    tenant: TenantId,
    blobs: Arc<dyn BlobStore>,
    tracker: TaskTracker,
    needed: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.needed {
            return;
        }
        let (blobs, tenant, key) = (Arc::clone(&self.blobs), self.tenant, std::mem::take(&mut self.blob.key));
        self.tracker.spawn(async move {
            if let Err(error) = blobs.delete(tenant, &key).await {
                tracing::warn!(%error, "the file of an upload that came to nothing could not be removed");
            }
        });
    }
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
