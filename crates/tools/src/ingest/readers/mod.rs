//! Document readers: bytes in, text by page out.
//!
//! A file's format is recognized by its content, never by its name or the caller's claim. Each format has one module
//! behind the [`Reader`] trait. Readers are pure and never panic outwards, but a crafted file can still exhaust the
//! stack or the memory of its process: run them in a process of their own, with limits.

pub mod clean;
pub mod document;
mod docx;
mod error;
mod limits;
mod markdown;
mod numerals;
mod pdf;
mod scan;
mod sniff;
mod symbols;
mod text;
mod title;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(in crate::ingest) use clean::clean_line;
pub use document::{Block, BlockKind, Bounds, Page, ReadDocument, Warning};
pub use error::ReadError;
pub use limits::Limits;
pub(in crate::ingest) use pdf::join_lines;
pub use scan::{Scan, ScanFormat, ScanLimits};
pub use sniff::{Format, sniff};
pub(in crate::ingest) use text::is_caption;
use title::is_title_worth_showing;

/// Is told how many pages are read so far.
pub type PageCounter<'a> = &'a mut dyn FnMut(u32);

/// One file format's reader.
pub trait Reader {
    /// Reads `bytes` into pages of blocks.
    ///
    /// # Errors
    /// [`ReadError`] says why the file cannot be used, in a form that the uploader can act on.
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ReadDocument, ReadError>;

    /// As [`Reader::read`]; tells `pages` of each page, where the format has pages.
    ///
    /// # Errors
    /// As [`Reader::read`].
    fn read_counting(&self, bytes: &[u8], limits: &Limits, pages: PageCounter<'_>) -> Result<ReadDocument, ReadError> {
        let _has_no_pages = pages;
        self.read(bytes, limits)
    }
}

/// The reader of a format.
pub fn reader_for(format: Format) -> &'static dyn Reader {
    match format {
        Format::Pdf => &pdf::PdfReader,
        Format::Docx => &docx::DocxReader,
        Format::Markdown => &markdown::MarkdownReader,
        Format::Text => &text::TextReader,
    }
}

/// Reads a file of a known format.
///
/// `file_name` only improves what a person reads about the file; the format is the caller's, from [`sniff`].
///
/// # Errors
/// [`ReadError::NoText`] when the file is sound but nothing can be read from it, not even by recognition from pictures
/// that `limits` asked for; otherwise what its reader says. A
/// panic inside a third-party parser is reported as [`ReadError::Corrupt`].
pub fn read(format: Format, bytes: &[u8], file_name: &str, limits: &Limits) -> Result<ReadDocument, ReadError> {
    read_counting(format, bytes, file_name, limits, &mut |_| {})
}

/// As [`read`]; tells `pages` of each page, where the format has pages.
///
/// # Errors
/// As [`read`].
pub fn read_counting(
    format: Format,
    bytes: &[u8],
    file_name: &str,
    limits: &Limits,
    pages: PageCounter<'_>,
) -> Result<ReadDocument, ReadError> {
    let reader = reader_for(format);
    let mut document = catch_unwind(AssertUnwindSafe(|| reader.read_counting(bytes, limits, pages)))
        .unwrap_or_else(|_| Err(ReadError::Corrupt { detail: "the parser gave up on it".into() }))?;
    document.title = document.title.filter(|title| title != file_name);
    document.forget_absurd_bounds();
    if document.is_empty() && !document.has_scans() {
        return Err(why_empty(&document.warnings));
    }
    Ok(document)
}

/// A scan wants text recognition, even one that had to be repaired; any other damaged file wants a whole copy.
fn why_empty(warnings: &[Warning]) -> ReadError {
    let scanned = warnings.iter().any(|warning| matches!(warning, Warning::NeedsOcr { .. }));
    let damaged = warnings.iter().any(|warning| matches!(warning, Warning::Repaired | Warning::DamagedPages { .. }));
    if damaged && !scanned {
        ReadError::corrupt("no text could be saved from what is left of it")
    } else {
        ReadError::NoText
    }
}
