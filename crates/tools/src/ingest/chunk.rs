//! Splits documents into chunks, the passages that retrieval searches and citations quote.
//!
//! A chunk never spans two pages, so that its citation names the right page, and a new chunk starts at each heading of
//! level 1 to 3. It is filled with whole sentences, rows and lines up to [`ChunkParams::max_tokens`]; a chunk that
//! continues a table repeats the header rows. Where the header of a sheet is too long to be repeated, each cell names
//! its
//! column instead. The section of a sheet's chunk ends with the range of its cells. The embedded text is prefixed with
//! title and heading path; the cited text is not.

mod pack;
mod params;
mod sentences;
mod sheet_rows;
mod units;

use super::readers::ParsedDocument;

pub use params::ChunkParams;

/// A chunk of a document, not yet embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// 0-based position in the document.
    pub index: u32,
    /// The 1-based page in the file; `None` for formats without pages.
    pub page: Option<u32>,
    /// The headings above the chunk, outermost first, and for rows of a sheet their cells (`Sheet 'Alarms'!A2:F14`),
    /// joined with ` > `; `None` before the first heading.
    pub section: Option<String>,
    /// The text as a citation shows it.
    pub content: String,
    /// Number of tokens of `content`, without the prefix of the embedded text.
    pub token_count: usize,
}

impl Chunk {
    /// The text to embed: a line with title and heading path, then the content.
    pub fn embedded_text(&self, title: &str) -> String {
        match self.section.as_deref() {
            Some(section) if section != title => format!("{title} | {section}\n{}", self.content),
            _ => format!("{title}\n{}", self.content),
        }
    }
}

/// Splits a document into chunks; the same input always gives the same chunks.
///
/// No chunk has more than `params.max_tokens` tokens, unless a single character already has more.
pub fn chunk(document: &ParsedDocument, params: &ChunkParams, count_tokens: &dyn Fn(&str) -> usize) -> Vec<Chunk> {
    let mut path = units::HeadingPath::default();
    let mut chunks = Vec::new();
    for page in &document.pages {
        let sections = units::sections(page, &mut path, params.max_tokens, count_tokens);
        let packer = pack::Packer { params, count_tokens };
        for draft in packer.pack(sections) {
            let index = chunks.len() as u32;
            let pack::Draft { section, cells, content, tokens } = draft;
            let cells = cells.map(|cells| cells.in_sheet(page.label.as_deref()));
            let parts: Vec<String> = section.into_iter().chain(cells).collect();
            let section = (!parts.is_empty()).then(|| parts.join(" > "));
            chunks.push(Chunk { index, page: page.number, section, content, token_count: tokens });
        }
    }
    chunks
}

#[cfg(test)]
mod tests;
