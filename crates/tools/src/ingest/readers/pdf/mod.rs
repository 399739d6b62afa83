//! PDF: text by page from the positions of its glyphs.
//!
//! lopdf parses, decrypts and repairs the file. What it lacks is done here: fonts without Unicode maps, words and lines
//! from positions, reading order over columns, tables, headings, and the removal of what nobody sees.

mod accents;
mod aligned;
mod annotations;
mod base14;
mod bidi;
mod blocks;
mod cmap;
mod columns;
mod composite;
mod context;
mod file;
mod font;
mod font_program;
mod geometry;
mod glyphs;
mod interpret;
mod layout;
mod lexer;
mod lines;
mod marked;
mod paint;
mod picture;
mod read;
mod resources;
mod ruled;
mod running;
mod sections;
mod sfnt;
mod state;
mod style;
mod words;

pub(in crate::ingest) use blocks::join_lines;

use super::{Limits, PageCounter, ReadDocument, ReadError, Reader};

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
