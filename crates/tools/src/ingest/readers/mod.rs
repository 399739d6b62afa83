//! Document readers: extract the text of each page from the bytes of a file.
//!
//! The format is detected from the content, not from the file name or the declared media type. Each format has a module
//! that implements [`Reader`]. Readers do no I/O, and [`read`] turns their panics into errors. A crafted file can still
//! exhaust the stack or the memory of the process, so run readers in a separate process with resource limits.

mod archive_format;
pub mod clean;
pub mod document;
mod docx;
mod eml;
mod error;
mod html;
mod limits;
mod markdown;
mod numerals;
mod package;
mod pdf;
mod pptx;
mod reader;
mod scan;
mod sheet_row;
mod sheets;
mod sniff;
mod symbols;
mod text;
mod title;
mod xml;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(in crate::ingest) use clean::clean_line;
pub use document::{Block, BlockKind, Bounds, Page, ParsedDocument, Warning};
pub use error::ReadError;
pub use limits::Limits;
pub(in crate::ingest) use pdf::join_lines;
pub use reader::{PageCallback, Reader};
pub use scan::{Scan, ScanFormat, ScanLimits};
pub use sheet_row::{CELL_SEPARATOR, CellRange, SheetRow};
pub use sniff::{Format, sniff};
pub(in crate::ingest) use text::is_caption;
use title::is_meaningful_title;

/// Returns the reader for a format.
pub fn reader_for(format: Format) -> &'static dyn Reader {
    match format {
        Format::Pdf => &pdf::PdfReader,
        Format::Docx => &docx::DocxReader,
        Format::Markdown => &markdown::MarkdownReader,
        Format::Text => &text::TextReader,
        Format::Xlsx => &sheets::XlsxReader,
        Format::Ods => &sheets::OdsReader,
        Format::Csv => &sheets::CsvReader,
        Format::Pptx => &pptx::PptxReader,
        Format::Html => &html::HtmlReader,
        Format::Email => &eml::EmlReader,
    }
}

/// Reads a file whose format [`sniff`] has detected.
///
/// A title that equals `file_name` is dropped.
///
/// # Errors
/// [`ReadError::NoText`] if the file is valid but has neither text nor images for OCR; otherwise the reader's error.
/// A panic in a third-party parser becomes [`ReadError::Corrupt`].
pub fn read(format: Format, bytes: &[u8], file_name: &str, limits: &Limits) -> Result<ParsedDocument, ReadError> {
    read_with_progress(format, bytes, file_name, limits, &mut |_| {})
}

/// Same as [`read`], but after each page calls `on_page` with the number of pages read so far; formats without pages
/// never call it.
///
/// # Errors
/// Same as [`read`].
pub fn read_with_progress(
    format: Format,
    bytes: &[u8],
    file_name: &str,
    limits: &Limits,
    on_page: PageCallback<'_>,
) -> Result<ParsedDocument, ReadError> {
    let reader = reader_for(format);
    let mut document = catch_unwind(AssertUnwindSafe(|| reader.read_with_progress(bytes, limits, on_page)))
        .unwrap_or_else(|_| Err(ReadError::Corrupt { detail: "the parser crashed".into() }))?;
    document.title = document.title.filter(|title| title != file_name);
    document.remove_invalid_bounds();
    if document.is_empty() && !document.has_scans() {
        return Err(empty_error(&document.warnings));
    }
    Ok(document)
}

/// The error for a file without text. A scan needs OCR, even if the file was repaired; any other damaged file must be
/// uploaded again in a complete copy.
fn empty_error(warnings: &[Warning]) -> ReadError {
    let scanned = warnings.iter().any(|warning| matches!(warning, Warning::NeedsOcr { .. }));
    let damaged = warnings.iter().any(|warning| matches!(warning, Warning::Repaired | Warning::DamagedPages { .. }));
    if damaged && !scanned { ReadError::corrupt("no text could be recovered") } else { ReadError::NoText }
}
