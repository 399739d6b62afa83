//! Errors of document processing, and the failure messages that the document's owner sees.

use super::interface::RetryLater;
use super::isolate::ParseError;
use domain::document::{DocumentFailure, FailureCode};
use domain::ids::DocumentId;
use domain::model_call::ModelCaller;
use domain::ports::{BlobError, Embedder, LeasedJob, Store};
use domain::role::Classification;
use domain::scope::TenantScope;

/// Why a document could not be processed.
pub(super) enum ProcessError {
    /// The document cannot be processed; a retry would not help.
    Document(DocumentFailure),
    /// A dependency failed; the job should be retried.
    Retry(RetryLater),
    /// The worker is shutting down.
    Cancelled,
}

impl From<RetryLater> for ProcessError {
    fn from(retry: RetryLater) -> Self {
        Self::Retry(retry)
    }
}

impl From<DocumentFailure> for ProcessError {
    fn from(failure: DocumentFailure) -> Self {
        Self::Document(failure)
    }
}

impl From<ParseError> for ProcessError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Document(failure) => Self::Document(failure),
            ParseError::Blob(error) => blob_error(&error),
            ParseError::Unavailable { reason, counts_as_attempt: counts } => {
                Self::Retry(RetryLater { reason, counts_as_attempt: counts })
            }
        }
    }
}

/// Reads a document's current classification from the database and compares it with what the model may see.
#[derive(Clone, Copy)]
pub(super) struct CurrentClassification<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) scope: &'a TenantScope,
    pub(super) document: DocumentId,
}

impl CurrentClassification<'_> {
    /// Returns the classification, or an error if `embedder` may not see it on behalf of `caller`. A deleted document
    /// counts as restricted; the later write of its chunks detects the deletion.
    pub(super) async fn for_model(
        &self,
        embedder: &dyn Embedder,
        caller: &ModelCaller,
    ) -> Result<Classification, ProcessError> {
        let mut tx = self.store.begin(self.scope).await.map_err(RetryLater::from)?;
        let found = tx.documents().classifications(&[self.document]).await.map_err(RetryLater::from)?;
        let classification = found.first().map_or(Classification::Restricted, |(_, classification)| *classification);
        if classification > embedder.max_input_classification(caller) {
            return Err(classification_too_high(classification).into());
        }
        Ok(classification)
    }
}

/// The failure of a document that no configured embedding model may see.
fn classification_too_high(classification: Classification) -> DocumentFailure {
    DocumentFailure {
        code: FailureCode::Unsupported,
        detail: format!(
            "The document is {classification}, which is above what the embedding model may see. Use an embedding \
             model on the platform's own premises, or lower the classification if it is too high, and process the \
             document again."
        ),
    }
}

/// The failure of a document whose job used up its attempts, because the worker died, timed out or hit a bug each time.
pub(super) fn attempts_exhausted(job: &LeasedJob) -> DocumentFailure {
    DocumentFailure {
        code: FailureCode::Timeout,
        detail: format!(
            "The file could not be processed in {} attempts. Split it, or save it again, and upload it again.",
            job.max_attempts
        ),
    }
}

/// The error of a job that was interrupted by the worker's shutdown; the attempt does not count.
pub(super) fn worker_stopped() -> RetryLater {
    RetryLater { reason: "the worker is shutting down".to_owned(), counts_as_attempt: false }
}

/// Classifies an error of the blob store: a missing file is permanent, any other error may be temporary.
pub(super) fn blob_error(error: &BlobError) -> ProcessError {
    match error {
        BlobError::Missing { .. } => ProcessError::Document(DocumentFailure {
            code: FailureCode::Corrupt,
            detail: "The stored file is gone. Delete the document and upload it again.".to_owned(),
        }),
        other => ProcessError::Retry(RetryLater { reason: other.to_string(), counts_as_attempt: false }),
    }
}
