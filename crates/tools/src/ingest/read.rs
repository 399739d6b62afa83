//! Reading and chunking one document: on a thread of its own, within a time limit.
//!
//! A thread cannot be stopped: after a timeout it ends when the readers' own limits make it end.

use super::chunk::{Chunk, ChunkParams, chunk};
use super::readers::{self, Limits, ReadDocument, ReadError};
use bytes::Bytes;
use domain::document::{DocumentFailure, FailureCode};
use domain::ports::Embedder;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A file to be read.
pub(super) struct File {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// Its name, which tells Markdown from plain text.
    pub(super) name: String,
}

/// How to read it.
pub(super) struct Reading {
    pub(super) limits: Limits,
    pub(super) time: Duration,
    pub(super) chunks: ChunkParams,
    /// Counts tokens.
    pub(super) embedder: Arc<dyn Embedder>,
}

impl Reading {
    /// Reads and chunks a file.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no text: why, and what its uploader can do.
    pub(super) async fn run(
        self,
        file: File,
        pages: &watch::Sender<u32>,
    ) -> Result<(ReadDocument, Vec<Chunk>), DocumentFailure> {
        let (time, pages) = (self.time, pages.clone());
        let work = tokio::task::spawn_blocking(move || self.read(&file, &pages));
        match tokio::time::timeout(time, work).await {
            Ok(Ok(read)) => read.map_err(|error| failure(&error)),
            Ok(Err(_panicked)) => Err(failure(&ReadError::Corrupt { detail: "the parser gave up on it".to_owned() })),
            Err(_elapsed) => Err(DocumentFailure {
                code: FailureCode::Timeout,
                detail: format!(
                    "Reading the file took longer than {} s. Split it, or save it anew without embedded media.",
                    time.as_secs()
                ),
            }),
        }
    }

    fn read(&self, file: &File, pages: &watch::Sender<u32>) -> Result<(ReadDocument, Vec<Chunk>), ReadError> {
        let format = readers::sniff(&file.bytes, &file.name).ok_or(ReadError::Unsupported)?;
        let document = readers::read(format, &file.bytes, &file.name, &self.limits)?;
        pages.send_replace(document.page_count.unwrap_or(0));
        let chunks = chunk(&document, &self.chunks, &|text| self.embedder.count_tokens(text));
        if chunks.is_empty() {
            return Err(ReadError::NoText);
        }
        Ok((document, chunks))
    }
}

fn failure(error: &ReadError) -> DocumentFailure {
    let code = match error {
        ReadError::Encrypted => FailureCode::Encrypted,
        ReadError::Corrupt { .. } => FailureCode::Corrupt,
        ReadError::TooLarge { .. } => FailureCode::TooLarge,
        ReadError::NoText => FailureCode::NoText,
        ReadError::Unsupported => FailureCode::Unsupported,
    };
    DocumentFailure { code, detail: error.to_string() }
}
