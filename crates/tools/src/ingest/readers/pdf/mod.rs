//! Reads PDF: extracts the text of each page from the positions of its glyphs.
//!
//! lopdf parses, decrypts and repairs the file, and read-fonts parses font programs. This module does everything else:
//! fonts without Unicode maps, words and lines from glyph positions, reading order across columns, tables, headings,
//! the tags of drawings by grid square, and the removal of invisible text.

mod accents;
mod aligned_tables;
mod annotations;
mod base14;
mod baseline;
mod bidi;
mod blocks;
mod cmap;
mod columns;
mod composite;
mod contents_entry;
mod context;
mod dictionary;
mod drawing;
mod drawing_grid;
mod drawing_tags;
mod file;
mod font;
mod font_program;
mod geometry;
mod glyph;
mod glyphs;
mod interpret;
mod join_lines;
mod layout;
mod lexer;
mod lines;
mod marked_content;
mod marked_content_operators;
mod page_text;
mod paint;
mod placement;
mod read_pages;
mod resources;
mod ruled_tables;
mod running_lines;
mod scan_image;
mod sfnt;
mod state;
mod style;
mod words;

pub(in crate::ingest) use join_lines::join_lines;

use super::reader::{PageCallback, Reader};
use super::{Limits, ParsedDocument, ReadError};

/// Reads PDF files.
pub(super) struct PdfReader;

impl Reader for PdfReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        self.read_with_progress(bytes, limits, &mut |_| {})
    }

    fn read_with_progress(
        &self,
        bytes: &[u8],
        limits: &Limits,
        on_page: PageCallback<'_>,
    ) -> Result<ParsedDocument, ReadError> {
        let file = file::PdfFile::open(bytes, limits)?;
        read_pages::read_document(&file, limits, on_page)
    }
}
