//! The interface of ingestion for the runtime and the worker.

use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, LeasedJob};
use domain::upload::{Upload, UploadOutcome};

/// Ingests documents and serves their original bytes.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Ingest: Send + Sync {
    /// Stores the bytes, then records document and job in one transaction. A failed upload leaves nothing behind.
    ///
    /// # Errors
    /// An invalid form, an unsupported type, too many bytes, an interrupted upload, or storage or database down.
    async fn accept(&self, permit: &Permit, upload: Upload) -> Result<UploadOutcome, IngestError>;

    /// Opens the original bytes of a document, or a range of them.
    ///
    /// # Errors
    /// When the blob store fails.
    async fn open(
        &self,
        permit: &Permit,
        document: &Document,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, IngestError>;

    /// Queues a document to be read, chunked and embedded again; `None` if it does not exist. A document that is
    /// queued or being processed stays as it is. Its current chunks remain searchable until the new ones are ready.
    ///
    /// # Errors
    /// When the database fails.
    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError>;

    /// Deletes the bytes of a document whose row was deleted.
    ///
    /// # Errors
    /// When the blob store fails.
    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError>;

    /// Processes one claimed job. A failure of the document is recorded on it and is no error here.
    ///
    /// # Errors
    /// When the database, the blob store or the embedding model is down and the job should be retried.
    async fn process(&self, job: &LeasedJob) -> Result<JobEnd, RetryLater>;
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEnd {
    /// The document is searchable.
    Ready,
    /// The document failed permanently; the reason is recorded on it.
    Failed,
    /// The last attempt failed: the document is marked as failed, and the job stays in the queue for inspection.
    Dead,
    /// A job for the whole tenant is complete.
    Done,
    /// A part of a job for the whole tenant is complete; it goes back to the queue for the rest.
    Unfinished,
    /// The document was deleted, or another worker holds the lease; nothing was changed.
    Superseded,
}

/// Why a job should be retried.
#[derive(Debug, thiserror::Error)]
#[error("ingestion cannot go on: {reason}")]
pub struct RetryLater {
    /// What failed; contains no document content.
    pub reason: String,
    /// Whether the attempt counts against the limit; an outage of a dependency does not.
    pub counts: bool,
}
