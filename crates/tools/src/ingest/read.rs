//! Reads and chunks one document; each step has a time limit.

use super::chunk::{Chunk, ChunkParams, chunk};
use super::isolate::{PagesRead, ParseError, Parser, SourceFile};
use super::ocr::{OcrSettings, recognize};
use super::readers::{ReadDocument, ReadError};
use domain::ports::Embedder;
use std::sync::Arc;
use std::time::Duration;

/// What is needed to read and chunk one document.
pub(super) struct Reading {
    pub(super) parser: Arc<dyn Parser>,
    /// Time limit for chunking; the parser has its own limit.
    pub(super) chunk_time: Duration,
    /// Settings of text recognition; `None` if it is disabled.
    pub(super) ocr: Option<OcrSettings>,
    pub(super) chunks: ChunkParams,
    /// Used only to count tokens.
    pub(super) embedder: Arc<dyn Embedder>,
}

impl Reading {
    /// Reads and chunks a file. The returned document has its pages removed, because their text is in the chunks.
    ///
    /// # Errors
    /// When the file cannot be read or has no text, a time limit is exceeded, or the parser process fails.
    pub(super) async fn run(
        self,
        file: SourceFile,
        pages: &PagesRead,
    ) -> Result<(ReadDocument, Vec<Chunk>), ParseError> {
        let mut document = self.parser.parse(file, pages).await?;
        if let Some(ocr) = &self.ocr {
            document = recognize(document, ocr).await?;
        }
        let time = self.chunk_time;
        let work = tokio::task::spawn_blocking(move || {
            let chunks = chunk(&document, &self.chunks, &|text| self.embedder.count_tokens(text));
            document.pages.clear();
            (document, chunks)
        });
        match tokio::time::timeout(time, work).await {
            Ok(Ok((_, chunks))) if chunks.is_empty() => Err(ReadError::NoText.into()),
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_panicked)) => Err(ReadError::corrupt("its text cannot be split").into()),
            Err(_elapsed) => Err(ParseError::timeout(time)),
        }
    }
}
