//! Reading and chunking one document, both within a time limit.

use super::chunk::{Chunk, ChunkParams, chunk};
use super::isolate::{PagesRead, ParseError, Parser, SourceFile};
use super::ocr::{OcrSettings, recognize};
use super::readers::{ReadDocument, ReadError};
use domain::ports::Embedder;
use std::sync::Arc;
use std::time::Duration;

/// How to read a document.
pub(super) struct Reading {
    pub(super) parser: Arc<dyn Parser>,
    /// Longest time that chunking may take; a parser has a limit of its own.
    pub(super) chunk_time: Duration,
    /// How text is recognized on pages that are pictures, if it is.
    pub(super) ocr: Option<OcrSettings>,
    pub(super) chunks: ChunkParams,
    /// Counts tokens.
    pub(super) embedder: Arc<dyn Embedder>,
}

impl Reading {
    /// Reads and chunks a file; what was read comes back without its pages, whose text is in the chunks.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no text: why, and what its uploader can do. Where it could not be tried:
    /// what was missing.
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
            Ok(Err(_panicked)) => Err(ReadError::corrupt("its text cannot be divided").into()),
            Err(_elapsed) => Err(ParseError::timeout(time)),
        }
    }
}
