//! The ingestion interface that the runtime and the worker use.

use crate::error::IngestError;
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::document::Document;
use domain::ids::DocumentId;
use domain::ports::{ByteRange, ByteStream, LeasedJob};
use domain::upload::{Upload, UploadOutcome};

/// Ingests documents and serves their original bytes.
#[async_trait]
pub trait Ingest: Send + Sync {
    /// Stores the bytes, then inserts the document and its ingestion job in one transaction. The bytes of a failed
    /// upload are deleted.
    ///
    /// # Errors
    /// When the form is invalid, the type is unsupported, a limit or quota is exceeded, the user may not upload, the
    /// upload is interrupted, or the blob store or the database fails.
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

    /// Queues a document to be read, chunked and embedded again; `None` if it does not exist or is above the caller's
    /// clearance. Does nothing if the document is already queued or being processed. Its current chunks remain
    /// searchable until the new ones are ready.
    ///
    /// # Errors
    /// When the database fails.
    async fn requeue(&self, permit: &Permit, document: DocumentId) -> Result<Option<Document>, IngestError>;

    /// Deletes the bytes of a document whose row was deleted.
    ///
    /// # Errors
    /// When the blob store fails.
    async fn discard(&self, permit: &Permit, document: &Document) -> Result<(), IngestError>;

    /// Processes one claimed job. If the document itself cannot be processed, the reason is recorded on it and the
    /// result is `Ok`.
    ///
    /// # Errors
    /// When the job should be retried, usually because the database, the blob store or the embedding model is down.
    async fn process(&self, job: &LeasedJob) -> Result<JobOutcome, RetryLater>;
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobOutcome {
    /// The document is searchable.
    Ready,
    /// The document failed permanently; the reason is recorded on it.
    Failed,
    /// The last attempt failed: the document is marked as failed, and the job stays in the queue for inspection.
    DeadLettered,
    /// A job for the whole tenant is complete.
    Done,
    /// A part of a job for the whole tenant is complete; the job must be queued again for the rest.
    Unfinished,
    /// The document was deleted, or another worker holds the lease; nothing was changed.
    Stale,
}

/// Why a job should be retried.
#[derive(Debug, thiserror::Error)]
#[error("the job must be retried: {reason}")]
pub struct RetryLater {
    /// What failed; contains no document content.
    pub reason: String,
    /// Whether the attempt counts towards the job's maximum; an outage of a dependency does not.
    pub counts_as_attempt: bool,
}
