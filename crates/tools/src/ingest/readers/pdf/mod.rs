//! PDF: text by page from the positions of its glyphs.
//!
//! lopdf parses, decrypts and repairs the file. What it lacks is done here: fonts without Unicode maps, words and lines
//! from positions, reading order over columns, tables, headings, and the removal of what nobody sees.

mod aligned;
mod base14;
mod blocks;
mod cff_strings;
mod cmap;
mod columns;
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
mod paint;
mod read;
mod ruled;
mod running;
mod state;
mod style;
mod words;

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
