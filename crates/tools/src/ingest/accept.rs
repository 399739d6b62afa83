//! Documents in: what the runtime and the worker ask of ingestion.

use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, LeasedJob};
use domain::upload::{Upload, UploadOutcome};

/// Takes documents in and hands their bytes out.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Ingest: Send + Sync {
    /// Stores the bytes, then records document and job in one transaction. Nothing is kept of an upload that fails.
    ///
    /// # Errors
    /// An invalid form, an unsupported type, too many bytes, a broken-off upload, storage or database down.
    async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError>;

    /// The original bytes of a document, or a part of them.
    ///
    /// # Errors
    /// Where the storage fails.
    async fn open(
        &self,
        permit: &Permit,
        document: &Document,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, IngestError>;

    /// Queues a document to be read, cut and embedded again; `None` where it is not there. One that waits or is being
    /// processed stays as it is. Until it is done, what was found in it before is found.
    ///
    /// # Errors
    /// Where the database fails.
    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError>;

    /// Removes the bytes of a document whose row is gone.
    ///
    /// # Errors
    /// Where the storage fails.
    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError>;

    /// Works off one claimed job. Whatever happens to the document is recorded on it; the error is for what should
    /// be tried again (database, storage or embedding model down).
    ///
    /// # Errors
    /// What should be tried again later.
    async fn process(&self, job: &LeasedJob) -> Result<JobEnd, RetryLater>;
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEnd {
    /// The document is searchable.
    Ready,
    /// The document failed for good; its reason stands on it.
    Failed,
    /// Given up after the last attempt: the document failed, and the job stays in the queue for a person to look at.
    Dead,
    /// Work on the whole tenant is done.
    Done,
    /// A part of the work on the whole tenant is done; the job goes back to the queue for the rest.
    Unfinished,
    /// The document is gone, or another worker holds the lease by now: nothing was changed.
    Superseded,
}

/// Why a job should be tried again.
#[derive(Debug, thiserror::Error)]
#[error("ingestion cannot go on: {reason}")]
pub struct RetryLater {
    /// What was down; no content.
    pub reason: String,
    /// Whether the attempt is used up: an outage of a dependency does not use one.
    pub counts: bool,
}
