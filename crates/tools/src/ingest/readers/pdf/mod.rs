//! Reads PDF: extracts the text of each page from the positions of its glyphs.
//!
//! lopdf parses, decrypts and repairs the file, and read-fonts parses font programs. This module does everything else:
//! fonts without Unicode maps, words and lines from glyph positions, reading order across columns, tables, headings,
//! and the removal of invisible text.

mod accents;
mod aligned;
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
mod marked;
mod marked_operators;
mod page_text;
mod paint;
mod picture;
mod placement;
mod read;
mod resources;
mod ruled;
mod running;
mod sfnt;
mod state;
mod style;
mod words;

pub(in crate::ingest) use join_lines::join_lines;

use super::reader::{PageCounter, Reader};
use super::{Limits, ReadDocument, ReadError};

/// Reads PDF files.
pub(super) struct PdfReader;

impl Reader for PdfReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ReadDocument, ReadError> {
        self.read_counting(bytes, limits, &mut |_| {})
    }

    fn read_counting(&self, bytes: &[u8], limits: &Limits, pages: PageCounter<'_>) -> Result<ReadDocument, ReadError> {
        let file = file::File::open(bytes, limits)?;
        read::read(&file, limits, pages)
    }
}
