//! Assembles a document from the frames of a child process. The frames are untrusted, because a crafted file may have
//! taken control of the child.

use super::frame::{self, Frame, FrameError};
use super::parser::{PagesReadSender, ParseError};
use crate::ingest::readers::{Limits, Page, ParsedDocument, ReadError, Warning};
use domain::document::DocumentFailure;
use tokio::io::AsyncRead;

/// Maximum number of warnings; there are fewer kinds of warnings than this.
const MAX_WARNINGS: usize = 16;
/// Maximum length of a title, in bytes; a longer one is dropped.
const MAX_TITLE_BYTES: usize = 1_000;
/// Maximum length of a failure message, in characters; those of the readers are shorter.
const MAX_DETAIL_CHARS: usize = 300;
/// Bytes of JSON allowed per byte of text. The overhead is highest for short blocks, because each has a kind.
const JSON_BYTES_PER_TEXT_BYTE: u64 = 4;
/// Bytes of JSON allowed per byte of a page's image, which is sent as Base64.
const JSON_BYTES_PER_IMAGE_BYTE: u64 = 2;
/// Additional bytes of JSON allowed, for progress frames and warnings.
const JSON_OVERHEAD_BYTES: u64 = 16 << 20;

/// Collects the pages of a document until its last frame.
pub(super) struct Collector<'a> {
    limits: &'a Limits,
    pages_read: &'a PagesReadSender,
    pages: Vec<Page>,
    text_bytes: usize,
}

impl<'a> Collector<'a> {
    pub(super) fn new(limits: &'a Limits, pages_read: &'a PagesReadSender) -> Self {
        Self { limits, pages_read, pages: Vec::new(), text_bytes: 0 }
    }

    /// Reads frames until the last one. Returns the document or why it cannot be read; `None` if the child closed its
    /// output before the last frame.
    pub(super) async fn collect(
        mut self,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Option<Result<ParsedDocument, ParseError>> {
        let text_json_bytes = (self.limits.max_text_bytes as u64).saturating_mul(JSON_BYTES_PER_TEXT_BYTE);
        let image_json_bytes =
            self.limits.scans.as_ref().map_or(0, |scans| scans.max_bytes.saturating_mul(JSON_BYTES_PER_IMAGE_BYTE));
        let max_bytes = text_json_bytes.saturating_add(image_json_bytes).saturating_add(JSON_OVERHEAD_BYTES);
        let mut remaining = max_bytes;
        loop {
            let result = match frame::read_frame(output, &mut remaining).await {
                Ok(Frame::PagesRead(pages)) => self.report(pages),
                Ok(Frame::Page(page)) => self.add(page),
                Ok(Frame::End { title, page_count, warnings }) => return Some(self.end(title, page_count, warnings)),
                Ok(Frame::Failed(failure)) => return Some(Err(ParseError::Document(truncate_detail(failure)))),
                Err(FrameError::Closed) => return None,
                Err(FrameError::TooLong(length)) if length <= max_bytes => {
                    Err(ReadError::TooLarge { what: "bytes of extracted data", limit: max_bytes }.into())
                }
                Err(FrameError::TooLong(_) | FrameError::Invalid) => Err(ParseError::parser_crashed()),
            };
            if let Err(error) = result {
                return Some(Err(error));
            }
        }
    }

    fn report(&self, pages: u32) -> Result<(), ParseError> {
        self.pages_read.send_replace(pages.min(self.limits.max_pages));
        Ok(())
    }

    fn add(&mut self, page: Page) -> Result<(), ParseError> {
        let limits = self.limits;
        if self.pages.len() >= limits.max_pages as usize {
            let limit = u64::from(limits.max_pages);
            return Err(ReadError::TooLarge { what: "pages", limit }.into());
        }
        let label = page.label.as_deref().unwrap_or_default();
        let texts = || page.blocks.iter().map(|block| block.text.as_str()).chain([label]);
        self.text_bytes += texts().map(str::len).sum::<usize>();
        if self.text_bytes > limits.max_text_bytes {
            let limit = limits.max_text_bytes as u64;
            return Err(ReadError::TooLarge { what: "bytes of text", limit }.into());
        }
        if texts().any(|text| text.contains('\0')) {
            return Err(ParseError::parser_crashed());
        }
        self.pages.push(page);
        Ok(())
    }

    fn end(
        self,
        title: Option<String>,
        page_count: Option<u32>,
        warnings: Vec<Warning>,
    ) -> Result<ParsedDocument, ParseError> {
        let title = title.filter(|title| title.len() <= MAX_TITLE_BYTES && !title.contains('\0'));
        let page_count = page_count.map(|count| count.min(self.limits.max_pages));
        if let Some(pages) = page_count {
            self.pages_read.send_replace(pages);
        }
        let warnings = sanitize_warnings(warnings, self.limits.max_pages);
        let document = ParsedDocument { title, pages: self.pages, page_count, warnings };
        if document.is_empty() && !document.has_scans() { Err(ReadError::NoText.into()) } else { Ok(document) }
    }
}

/// Truncates the list of warnings, and removes impossible and duplicate page numbers from them.
fn sanitize_warnings(mut warnings: Vec<Warning>, max_pages: u32) -> Vec<Warning> {
    warnings.truncate(MAX_WARNINGS);
    for pages in warnings.iter_mut().filter_map(Warning::pages_mut) {
        pages.retain(|page| (1..=max_pages).contains(page));
        pages.sort_unstable();
        pages.dedup();
    }
    warnings
}

fn truncate_detail(failure: DocumentFailure) -> DocumentFailure {
    let detail = failure.detail.chars().filter(|character| !character.is_control());
    let detail = detail.take(MAX_DETAIL_CHARS).collect();
    DocumentFailure { detail, ..failure }
}
