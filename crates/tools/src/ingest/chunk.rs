//! Chunks: what retrieval searches and citations quote.
//!
//! A chunk never crosses a page, so that the page it cites is right, and begins anew at headings down to level three.
//! It is packed with whole sentences, rows and lines up to what the embedding model reads; rows of a table carry their
//! header along. What is embedded is prefixed with the title and the heading path, what is cited is not.

mod pack;
mod sentences;
mod units;

use super::readers::ReadDocument;

/// How large chunks become, in tokens as the given counter counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkParams {
    /// Most tokens of a chunk's content. Leave room for the prefix of [`Chunk::embedded_text`] below what the model
    /// reads: 220 for a model of 256.
    pub max_tokens: usize,
    /// Most tokens of whole sentences that a chunk repeats from the one before it; about a tenth of the content.
    pub overlap_tokens: usize,
    /// A chunk below this is merged with its neighbour on the same page where both fit together.
    pub min_tokens: usize,
}

impl Default for ChunkParams {
    fn default() -> Self {
        Self { max_tokens: 220, overlap_tokens: 24, min_tokens: 40 }
    }
}

/// A piece of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// 0-based position in the document.
    pub index: u32,
    /// The 1-based page in the file; `None` for formats without pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first, joined with ` > `; `None` before the first heading.
    pub section: Option<String>,
    /// The text as a citation shows it.
    pub content: String,
    /// Tokens of `content`.
    pub token_count: usize,
}

impl Chunk {
    /// The text to embed: a line that says where the content comes from, and the content.
    pub fn embedded_text(&self, title: &str) -> String {
        match self.section.as_deref() {
            Some(section) if section != title => format!("{title} | {section}\n{}", self.content),
            _ => format!("{title}\n{}", self.content),
        }
    }
}

/// Cuts a document into chunks. Pure: the same input always gives the same chunks.
///
/// No chunk has more than `params.max_tokens` tokens, except where a single character counts for more.
pub fn chunk(document: &ReadDocument, params: &ChunkParams, count_tokens: &dyn Fn(&str) -> usize) -> Vec<Chunk> {
    let mut path = units::HeadingPath::default();
    let mut chunks = Vec::new();
    for page in &document.pages {
        let sections = units::sections(page, &mut path, params.max_tokens, count_tokens);
        let packer = pack::Packer { params, count_tokens };
        for draft in packer.pack(sections) {
            let index = chunks.len() as u32;
            let pack::Draft { section, content, tokens } = draft;
            chunks.push(Chunk { index, page: page.number, section, content, token_count: tokens });
        }
    }
    chunks
}

#[cfg(test)]
mod tests;
