//! Parses documents in this process, on a blocking thread.
//!
//! Time and extracted text are limited, but memory and stack are not, so use it for trusted files only. A thread cannot
//! be stopped: after a timeout it continues until it finishes or hits a limit of the readers.

use super::parser::{PagesReadSender, ParseError, Parser, SourceFile};
use crate::ingest::readers::{self, Limits, ParsedDocument, ReadError};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::StreamExt as _;
use std::time::Duration;

/// Parses each document on a blocking thread of this process; for trusted files only.
pub struct ThreadParser {
    timeout: Duration,
    limits: Limits,
}

impl ThreadParser {
    /// Creates a parser. `timeout` is the wall-clock limit per document; `limits` apply to the extracted content.
    #[must_use]
    pub fn new(timeout: Duration, limits: Limits) -> Self {
        Self { timeout, limits }
    }
}

#[async_trait]
impl Parser for ThreadParser {
    async fn parse(&self, mut file: SourceFile, pages: &PagesReadSender) -> Result<ParsedDocument, ParseError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = file.bytes.next().await {
            bytes.extend_from_slice(&piece.map_err(ParseError::Blob)?);
        }
        let (limits, pages) = (self.limits.clone(), pages.clone());
        let work = move || read_document(&bytes.freeze(), &file.name, &limits, &pages);
        match tokio::time::timeout(self.timeout, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(read)) => Ok(read?),
            Ok(Err(_panicked)) => Err(ParseError::parser_crashed()),
            Err(_elapsed) => Err(ParseError::timeout(self.timeout)),
        }
    }
}

fn read_document(
    bytes: &Bytes,
    name: &str,
    limits: &Limits,
    pages: &PagesReadSender,
) -> Result<ParsedDocument, ReadError> {
    let format = readers::sniff(bytes, name).ok_or(ReadError::Unsupported)?;
    readers::read_with_progress(format, bytes, name, limits, &mut |count| {
        pages.send_replace(count);
    })
}
