//! Reading one document apart from everything else.
//!
//! A crafted file can exhaust the stack or the memory of the process that reads it, which no `catch_unwind` survives.
//! So [`ChildParser`] reads each document in a process of its own, which has confined itself before it reads the first
//! byte ([`child`]); [`ThreadParser`] reads in this process, for programs that embed this crate and trust their files.

pub mod child;
mod collect;
mod confine;
mod exit;
mod frame;
pub mod launch;
mod process;
#[cfg(target_os = "linux")]
mod syscalls;
mod thread;

use super::readers::{ReadDocument, ReadError};
use async_trait::async_trait;
use domain::document::{DocumentFailure, FailureCode};
use domain::ports::{BlobError, ByteStream};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;

pub use frame::ChildLimits;
pub use process::{ChildParser, ParserProgram};
pub use thread::ThreadParser;

/// A file to be read.
pub struct SourceFile {
    /// Its name, which tells Markdown from plain text.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// Its bytes.
    pub bytes: ByteStream,
}

/// How many pages of a document were read so far: whoever holds a receiver can show it.
pub type PagesRead = watch::Sender<u32>;

/// Reads documents.
#[async_trait]
pub trait Parser: Send + Sync {
    /// Reads a file, whatever its format; reports pages as they are read.
    ///
    /// Dropping the future ends the reading.
    ///
    /// # Errors
    /// [`ParseError`] tells what is the file's fault from what is not.
    async fn parse(&self, file: SourceFile, pages: &PagesRead) -> Result<ReadDocument, ParseError>;
}

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum ParseError {
    /// It cannot be, for a reason that its uploader can act on.
    #[error("the file cannot be read: {}", .0.code.as_str())]
    Document(DocumentFailure),
    /// Its bytes could not be fetched.
    #[error("the file's bytes could not be fetched")]
    Bytes(#[source] BlobError),
    /// Nothing could read it just now.
    #[error("no parser could read it: {reason}")]
    Unavailable {
        /// What happened; no content.
        reason: String,
        /// Whether the file may be to blame, so that trying again must have an end.
        counts: bool,
    },
}

impl ParseError {
    /// Reading it took longer than `limit`.
    pub(super) fn timeout(limit: Duration) -> Self {
        Self::Document(DocumentFailure {
            code: FailureCode::Timeout,
            detail: format!(
                "Reading the file took longer than {} s. Split it, or save it anew without embedded media.",
                limit.as_secs()
            ),
        })
    }

    /// It is damaged so badly that the parser broke.
    fn gave_up() -> Self {
        ReadError::corrupt("the parser gave up on it").into()
    }
}

impl From<ReadError> for ParseError {
    fn from(error: ReadError) -> Self {
        Self::Document(failure(&error))
    }
}

/// What a reader's refusal is to the document's owner.
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
