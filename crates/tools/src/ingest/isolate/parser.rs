//! The parser interface, with implementations for child processes and threads.

use crate::ingest::readers::{ParsedDocument, ReadError};
use async_trait::async_trait;
use domain::document::{DocumentFailure, FailureCode};
use domain::ports::{BlobError, ByteStream};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;

/// A file to be parsed.
pub struct SourceFile {
    /// Name of the file; its extension distinguishes Markdown from plain text.
    pub name: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Content of the file, as it arrives from the blob store.
    pub bytes: ByteStream,
}

/// Publishes the number of pages read so far.
pub type PagesReadSender = watch::Sender<u32>;

/// Extracts the text of untrusted documents.
#[async_trait]
pub trait Parser: Send + Sync {
    /// Reads a file of any supported format and reports its progress to `pages`. Dropping the future cancels the work.
    ///
    /// # Errors
    /// When the file cannot be read, or the platform fails; [`ParseError`] distinguishes the two.
    async fn parse(&self, file: SourceFile, pages: &PagesReadSender) -> Result<ParsedDocument, ParseError>;
}

/// Why a file could not be parsed.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The file cannot be read, for a reason that its uploader can act on.
    #[error("the file cannot be read: {}", .0.code.as_str())]
    Document(DocumentFailure),
    /// The blob store failed.
    #[error("the file's bytes could not be fetched")]
    Blob(#[source] BlobError),
    /// The parser failed; another attempt may succeed.
    #[error("the parser failed: {reason}")]
    Unavailable {
        /// What happened; contains no document content.
        reason: String,
        /// Whether the file may be the cause, so that the attempt counts towards the job's maximum.
        counts_as_attempt: bool,
    },
}

impl ParseError {
    /// The error for a file that took longer than `limit` to read.
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::Document(DocumentFailure {
            code: FailureCode::Timeout,
            detail: format!(
                "Reading the file took longer than {} s. Split it, or save it again without embedded media.",
                limit.as_secs()
            ),
        })
    }

    /// The error for a file that crashed the parser.
    pub(super) fn parser_crashed() -> Self {
        ReadError::corrupt("the parser crashed").into()
    }
}

impl From<ReadError> for ParseError {
    fn from(error: ReadError) -> Self {
        Self::Document(document_failure(&error))
    }
}

/// Converts a reader's error to the failure that is recorded on the document.
pub(super) fn document_failure(error: &ReadError) -> DocumentFailure {
    let code = match error {
        ReadError::Encrypted => FailureCode::Encrypted,
        ReadError::Corrupt { .. } => FailureCode::Corrupt,
        ReadError::TooLarge { .. } => FailureCode::TooLarge,
        ReadError::NoText => FailureCode::NoText,
        ReadError::Unsupported => FailureCode::Unsupported,
    };
    DocumentFailure { code, detail: error.to_string() }
}
