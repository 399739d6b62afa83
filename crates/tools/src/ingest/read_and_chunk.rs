//! Reads and chunks one document; each step has a time limit.

use super::chunk::{Chunk, ChunkParams, chunk};
use super::isolate::{PagesReadSender, ParseError, Parser, SourceFile};
use super::ocr::{OcrSettings, recognize};
use super::readers::{ParsedDocument, ReadError};
use domain::ports::Embedder;
use std::sync::Arc;
use std::time::Duration;

/// What is needed to read and chunk one document.
pub(super) struct ReadAndChunkTask {
    pub(super) parser: Arc<dyn Parser>,
    /// Time limit for chunking; the parser has its own limit.
    pub(super) chunk_timeout: Duration,
    /// Settings of text recognition; `None` if it is disabled.
    pub(super) ocr: Option<OcrSettings>,
    pub(super) chunk_params: ChunkParams,
    /// Used only to count tokens.
    pub(super) embedder: Arc<dyn Embedder>,
}

impl ReadAndChunkTask {
    /// Reads and chunks a file. The returned document has its pages removed, because their text is in the chunks.
    ///
    /// # Errors
    /// When the file cannot be read or has no text, a time limit is exceeded, or the parser process fails.
    pub(super) async fn run(
        self,
        file: SourceFile,
        pages: &PagesReadSender,
    ) -> Result<(ParsedDocument, Vec<Chunk>), ParseError> {
        let mut document = self.parser.parse(file, pages).await?;
        if let Some(ocr) = &self.ocr {
            document = recognize(document, ocr).await?;
        }
        let timeout = self.chunk_timeout;
        let chunking = tokio::task::spawn_blocking(move || {
            let chunks = chunk(&document, &self.chunk_params, &|text| self.embedder.count_tokens(text));
            document.pages.clear();
            (document, chunks)
        });
        match tokio::time::timeout(timeout, chunking).await {
            Ok(Ok((_, chunks))) if chunks.is_empty() => Err(ReadError::NoText.into()),
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_panicked)) => Err(ReadError::corrupt("its text cannot be split").into()),
            Err(_elapsed) => Err(ParseError::timeout(timeout)),
        }
    }
}
