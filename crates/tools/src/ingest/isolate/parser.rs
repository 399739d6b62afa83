//! The interface of isolated parsers.

use crate::ingest::readers::{ReadDocument, ReadError};
use async_trait::async_trait;
use domain::document::{DocumentFailure, FailureCode};
use domain::ports::{BlobError, ByteStream};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;

/// A file to be read.
pub struct SourceFile {
    /// Name of the file; tells Markdown from plain text.
    pub name: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Content of the file.
    pub bytes: ByteStream,
}

/// Publishes how many pages of a document were read so far.
pub type PagesRead = watch::Sender<u32>;

/// Reads documents in a confined child process.
#[async_trait]
pub trait Parser: Send + Sync {
    /// Reads a file of any supported format and reports pages as they are read. Dropping the future stops the reading.
    ///
    /// # Errors
    /// [`ParseError`] distinguishes a bad file from a failure of the platform.
    async fn parse(&self, file: SourceFile, pages: &PagesRead) -> Result<ReadDocument, ParseError>;
}

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The file cannot be read, for a reason that its uploader can act on.
    #[error("the file cannot be read: {}", .0.code.as_str())]
    Document(DocumentFailure),
    /// The blob store failed.
    #[error("the file's bytes could not be fetched")]
    Bytes(#[source] BlobError),
    /// The parser failed; another attempt may succeed.
    #[error("the parser failed: {reason}")]
    Unavailable {
        /// What happened; contains no document content.
        reason: String,
        /// Whether the file may be the cause, so that the attempt counts against the limit.
        counts: bool,
    },
}

impl ParseError {
    /// Reading the file took longer than `limit`.
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::Document(DocumentFailure {
            code: FailureCode::Timeout,
            detail: format!(
                "Reading the file took longer than {} s. Split it, or save it again without embedded media.",
                limit.as_secs()
            ),
        })
    }

    /// The file made the parser crash.
    pub(super) fn parser_crashed() -> Self {
        ReadError::corrupt("the parser crashed").into()
    }
}

impl From<ReadError> for ParseError {
    fn from(error: ReadError) -> Self {
        Self::Document(failure(&error))
    }
}

/// The failure that is recorded on the document.
pub(super) fn failure(error: &ReadError) -> DocumentFailure {
    let code = match error {
        ReadError::Encrypted => FailureCode::Encrypted,
        ReadError::Corrupt { .. } => FailureCode::Corrupt,
        ReadError::TooLarge { .. } => FailureCode::TooLarge,
        ReadError::NoText => FailureCode::NoText,
        ReadError::Unsupported => FailureCode::Unsupported,
    };
    DocumentFailure { code, detail: error.to_string() }
}
