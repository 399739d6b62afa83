//! Puts a document together from what a child sends. Nothing that comes from there is believed: a crafted file may
//! have taken the child over.

use super::frame::{self, Frame, NoFrame};
use super::{PagesRead, ParseError};
use crate::ingest::readers::{Limits, Page, ReadDocument, ReadError, Warning};
use domain::document::DocumentFailure;
use tokio::io::AsyncRead;

/// Most warnings; the readers have fewer kinds of them.
const MAX_WARNINGS: usize = 16;
/// Longest title, in bytes.
const MAX_TITLE: usize = 1_000;
/// Longest sentence about a failure, in bytes; the readers' own are shorter.
const MAX_DETAIL: usize = 300;
/// Bytes of JSON for each byte of text: positions and kinds stand beside short blocks.
const JSON_PER_TEXT: u64 = 4;
/// The same for pictures of pages, which travel as Base64.
const JSON_PER_PICTURE: u64 = 2;
/// Bytes of JSON that even a document without text may take: reports, warnings.
const JSON_BASE: u64 = 16 << 20;

/// A document as it comes.
pub(super) struct Collector<'a> {
    limits: &'a Limits,
    pages_read: &'a PagesRead,
    pages: Vec<Page>,
    text_bytes: usize,
}

impl<'a> Collector<'a> {
    pub(super) fn new(limits: &'a Limits, pages_read: &'a PagesRead) -> Self {
        Self { limits, pages_read, pages: Vec::new(), text_bytes: 0 }
    }

    /// The document, or why it cannot be read; `None` where the child ended without saying either.
    pub(super) async fn collect(
        mut self,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Option<Result<ReadDocument, ParseError>> {
        let text = (self.limits.max_text_bytes as u64).saturating_mul(JSON_PER_TEXT);
        let pictures = self.limits.scans.as_ref().map_or(0, |scans| scans.max_bytes.saturating_mul(JSON_PER_PICTURE));
        let most = text.saturating_add(pictures).saturating_add(JSON_BASE);
        let mut left = most;
        loop {
            let taken = match frame::next(output, &mut left).await {
                Ok(Frame::PagesRead(pages)) => self.report(pages),
                Ok(Frame::Page(page)) => self.add(page),
                Ok(Frame::End { title, page_count, warnings }) => return Some(self.end(title, page_count, warnings)),
                Ok(Frame::Failed(failure)) => return Some(Err(ParseError::Document(shortened(failure)))),
                Err(NoFrame::Closed) => return None,
                Err(NoFrame::TooLong(length)) if length <= most => {
                    Err(ReadError::TooLarge { what: "bytes came out of it", limit: most }.into())
                }
                Err(NoFrame::TooLong(_) | NoFrame::Garbage) => Err(ParseError::gave_up()),
            };
            if let Err(error) = taken {
                return Some(Err(error));
            }
        }
    }

    fn report(&self, pages: u32) -> Result<(), ParseError> {
        self.pages_read.send_replace(pages.min(self.limits.max_pages));
        Ok(())
    }

    fn add(&mut self, page: Page) -> Result<(), ParseError> {
        let limit = self.limits;
        if self.pages.len() >= limit.max_pages as usize {
            let limit = u64::from(limit.max_pages);
            return Err(ReadError::TooLarge { what: "pages were counted", limit }.into());
        }
        let label = page.label.as_deref().unwrap_or_default();
        let texts = || page.blocks.iter().map(|block| block.text.as_str()).chain([label]);
        self.text_bytes += texts().map(str::len).sum::<usize>();
        if self.text_bytes > limit.max_text_bytes {
            let limit = limit.max_text_bytes as u64;
            return Err(ReadError::TooLarge { what: "bytes of text were counted", limit }.into());
        }
        if texts().any(|text| text.contains('\0')) {
            return Err(ParseError::gave_up());
        }
        self.pages.push(page);
        Ok(())
    }

    fn end(
        self,
        title: Option<String>,
        page_count: Option<u32>,
        warnings: Vec<Warning>,
    ) -> Result<ReadDocument, ParseError> {
        let title = title.filter(|title| title.len() <= MAX_TITLE && !title.contains('\0'));
        let page_count = page_count.map(|count| count.min(self.limits.max_pages));
        if let Some(pages) = page_count {
            self.pages_read.send_replace(pages);
        }
        let warnings = bounded(warnings, self.limits.max_pages);
        let document = ReadDocument { title, pages: self.pages, page_count, warnings };
        if document.is_empty() && !document.has_scans() { Err(ReadError::NoText.into()) } else { Ok(document) }
    }
}

/// As many warnings as the readers have, about pages that there can be, each once and in order.
fn bounded(mut warnings: Vec<Warning>, max_pages: u32) -> Vec<Warning> {
    warnings.truncate(MAX_WARNINGS);
    for pages in warnings.iter_mut().filter_map(Warning::pages_mut) {
        pages.retain(|page| (1..=max_pages).contains(page));
        pages.sort_unstable();
        pages.dedup();
    }
    warnings
}

fn shortened(failure: DocumentFailure) -> DocumentFailure {
    let detail = failure.detail.chars().filter(|character| !character.is_control());
    let detail = detail.take(MAX_DETAIL).collect();
    DocumentFailure { detail, ..failure }
}
