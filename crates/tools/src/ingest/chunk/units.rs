//! Splits blocks into units, the smallest pieces that chunks are packed from, grouped into sections.

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use super::super::readers::{Block, BlockKind, CellRange, Page, SheetRow, is_caption};
use super::sentences;
use super::sheet_rows::SheetHeader;

/// Deepest heading level that starts a new section.
const MAX_SECTION_LEVEL: u8 = 3;
/// Maximum length of a heading in the heading path, in characters; the content keeps longer headings whole.
const MAX_HEADING_CHARS: usize = 120;

/// Kind of a unit, which decides how the packer treats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitKind {
    /// A heading; it stays together with the unit after it.
    Heading,
    /// A sentence; the next chunk may repeat it as overlap.
    Sentence,
    /// A table row, or the caption of a table, which is treated as a header row. Tables are numbered within the page.
    Row { table: usize, header: bool },
    /// A line of code.
    Line,
    /// A part of a sheet's row that names its columns itself, because the header does not fit above it.
    Record,
}

/// A piece of text that is not split any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub kind: UnitKind,
    pub text: String,
    pub tokens: usize,
    /// Inserted between the previous unit of the same chunk and this one.
    pub separator: &'static str,
    /// The heading path at this unit.
    pub section: Option<String>,
    /// The cells that the unit comes from.
    pub cells: Option<CellRange>,
}

/// The headings above the current position in the document.
#[derive(Debug, Default)]
pub(super) struct HeadingPath(Vec<(u8, String)>);

impl HeadingPath {
    fn enter_heading(&mut self, level: u8, text: &str) {
        self.0.retain(|(above, _)| *above < level);
        self.0.push((level, text.chars().take(MAX_HEADING_CHARS).collect()));
    }

    fn to_section(&self) -> Option<String> {
        let texts: Vec<&str> = self.0.iter().map(|(_, text)| text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join(" > "))
    }
}

/// The size that a chunk may have.
pub(super) struct Measure<'a> {
    pub max_tokens: usize,
    pub count_tokens: &'a dyn Fn(&str) -> usize,
}

impl Measure<'_> {
    pub fn tokens(&self, text: &str) -> usize {
        (self.count_tokens)(text)
    }
}

pub(super) struct TokenSizer<'a>(pub &'a dyn Fn(&str) -> usize);

impl ChunkSizer for TokenSizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0)(chunk)
    }
}

/// Splits a page into units, one list per section, and updates the heading path. Running text is split into sentences;
/// units larger than `max_tokens` are split further by the text-splitter crate.
pub(super) fn sections(
    page: &Page,
    path: &mut HeadingPath,
    max_tokens: usize,
    count_tokens: &dyn Fn(&str) -> usize,
) -> Vec<Vec<Unit>> {
    let measure = Measure { max_tokens, count_tokens };
    let mut sheet_header = SheetHeader::default();
    let splitter = TextSplitter::new(ChunkConfig::new(max_tokens.max(1)).with_sizer(TokenSizer(count_tokens)));
    let mut sections: Vec<Vec<Unit>> = vec![Vec::new()];
    let mut table = 0;
    let mut in_header = false;
    for (at, block) in page.blocks.iter().enumerate() {
        if let BlockKind::Heading { level } = block.kind {
            path.enter_heading(level, &block.text);
            let only_headings = |units: &Vec<Unit>| units.iter().all(|unit| unit.kind == UnitKind::Heading);
            if level <= MAX_SECTION_LEVEL && !sections.last().is_some_and(only_headings) {
                sections.push(Vec::new());
            }
        }
        // A table ends at a block of another kind; a caption or a new header row starts the next table.
        let is_table_caption = page.blocks.get(at + 1).is_some_and(is_row) && !is_row(block) && is_caption(&block.text);
        match block.kind {
            BlockKind::TableRow { header: true } if in_header => {}
            BlockKind::TableRow { header: false } => {}
            _ => table += 1,
        }
        in_header = is_table_caption || block.kind == BlockKind::TableRow { header: true };
        let section = path.to_section();
        let cells = block.sheet_row.as_ref().map(SheetRow::range);
        let mut separator = "\n";
        sheet_header.observe(block, &measure);
        let records = sheet_header.records(block, &measure);
        let pieces = match &records {
            Some(records) => records.iter().map(|record| (UnitKind::Record, record.as_str())).collect(),
            None if is_table_caption => vec![(UnitKind::Row { table, header: true }, block.text.trim())],
            None => pieces(block, table),
        };
        for (kind, text) in pieces {
            for (text, tokens) in split_oversized(text, max_tokens, count_tokens, &splitter) {
                if let Some(units) = sections.last_mut() {
                    units.push(Unit { kind, text, tokens, separator, section: section.clone(), cells });
                }
                separator = if matches!(kind, UnitKind::Line | UnitKind::Record) { "\n" } else { " " };
            }
        }
    }
    sections.retain(|units| !units.is_empty());
    sections
}

fn is_row(block: &Block) -> bool {
    matches!(block.kind, BlockKind::TableRow { .. })
}

fn pieces(block: &Block, table: usize) -> Vec<(UnitKind, &str)> {
    match block.kind {
        BlockKind::Heading { .. } => vec![(UnitKind::Heading, block.text.trim())],
        BlockKind::Paragraph | BlockKind::ListItem => {
            sentences::split(&block.text).into_iter().map(|text| (UnitKind::Sentence, text)).collect()
        }
        BlockKind::TableRow { header } => vec![(UnitKind::Row { table, header }, block.text.trim())],
        BlockKind::Code => block.text.lines().map(|line| (UnitKind::Line, line.trim_end())).collect(),
    }
}

/// Returns the text with its token count; text larger than `max_tokens` is split into parts.
fn split_oversized(
    text: &str,
    max_tokens: usize,
    count_tokens: &dyn Fn(&str) -> usize,
    splitter: &TextSplitter<TokenSizer<'_>>,
) -> Vec<(String, usize)> {
    let tokens = count_tokens(text);
    if text.is_empty() {
        return Vec::new();
    }
    if tokens <= max_tokens {
        return vec![(text.to_owned(), tokens)];
    }
    splitter.chunks(text).map(|part| (part.to_owned(), count_tokens(part))).collect()
}
