//! Assembles the rows of a table, or the content of a table that only arranges a page.

use super::super::{Block, BlockKind, CELL_SEPARATOR};

/// Maximum number of columns that a cell may span.
pub(super) const MAX_COLUMNS_SPANNED: usize = 100;
/// Maximum number of rows that a cell may span.
pub(super) const MAX_ROWS_SPANNED: usize = 500;
/// Maximum length of a cell that is repeated in the columns and rows that it spans, in bytes.
const MAX_REPEATED_BYTES: usize = 200;
/// Maximum number of columns of a table.
const MAX_COLUMNS: usize = 4_096;
/// A cell with more blocks than this is part of a page's arrangement, and no cell of a table.
const MAX_CELL_BLOCKS: usize = 12;

/// A cell of a table.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub blocks: Vec<Block>,
    /// Whether it is a `th`.
    pub is_header: bool,
    pub columns_spanned: usize,
    pub rows_spanned: usize,
}

/// A row of a table.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub cells: Vec<Cell>,
    /// Whether it stands in a `thead`.
    pub in_head: bool,
}

/// An open table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    /// Whether the last row's last cell is open.
    pub cell_is_open: bool,
    /// Whether the parser is in a `thead`.
    pub in_head: bool,
    /// Blocks of the caption.
    pub caption: Vec<Block>,
    pub caption_is_open: bool,
}

impl Table {
    /// The blocks of the finished table, up to the first that exceeds this size of their text in total.
    pub fn into_blocks(self, max_text_bytes: usize) -> Vec<Block> {
        let Self { rows, mut caption, .. } = self;
        if is_arrangement(&rows) {
            caption.extend(rows.into_iter().flat_map(|row| row.cells).flat_map(|cell| cell.blocks));
            return caption;
        }
        let first_is_header = rows.len() > 1 && !rows.iter().any(Row::is_header) && rows[0].looks_like_header();
        let caption = flat_text(&caption);
        let mut blocks = Vec::with_capacity(rows.len() + 1);
        if !caption.is_empty() {
            blocks.push(Block::new(BlockKind::TableRow { header: true }, caption));
        }
        let mut spanning: Vec<Spanning> = Vec::new();
        let mut total = 0;
        for (at, row) in rows.into_iter().enumerate() {
            if total > max_text_bytes {
                break;
            }
            let header = row.is_header() || (at == 0 && first_is_header);
            let cells = fill_row(row, &mut spanning);
            if cells.iter().any(|cell| !cell.is_empty()) {
                let text = cells.join(CELL_SEPARATOR);
                total += text.len();
                blocks.push(Block::new(BlockKind::TableRow { header }, text));
            }
        }
        blocks
    }
}

impl Row {
    fn is_header(&self) -> bool {
        !self.cells.is_empty() && (self.in_head || self.cells.iter().all(|cell| cell.is_header))
    }

    /// Whether the cells look like column names: each has a letter and does not start with a digit.
    fn looks_like_header(&self) -> bool {
        self.cells.iter().all(|cell| {
            let text = flat_text(&cell.blocks);
            text.chars().any(char::is_alphabetic) && !text.starts_with(|c: char| c.is_ascii_digit())
        })
    }
}

/// Whether a table only arranges a page: it has one column, or a cell with headings, rows or much else.
fn is_arrangement(rows: &[Row]) -> bool {
    let is_structure = |block: &Block| matches!(block.kind, BlockKind::Heading { .. } | BlockKind::TableRow { .. });
    let mut cells = rows.iter().flat_map(|row| &row.cells);
    rows.iter().all(|row| row.cells.len() <= 1)
        || cells.any(|cell| cell.blocks.len() > MAX_CELL_BLOCKS || cell.blocks.iter().any(is_structure))
}

/// A cell that spans further rows.
struct Spanning {
    column: usize,
    rows_left: usize,
    text: String,
}

/// The texts of a row by column, with those of cells that span columns or come from a row above.
fn fill_row(row: Row, spanning: &mut Vec<Spanning>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let from_above = std::mem::take(spanning);
    let mut above = from_above.into_iter().peekable();
    let mut take_above = |texts: &mut Vec<String>, kept: &mut Vec<Spanning>| {
        while let Some(mut cell) = above.next_if(|cell| cell.column <= texts.len()) {
            texts.push(cell.text.clone());
            cell.rows_left -= 1;
            if cell.rows_left > 0 {
                kept.push(cell);
            }
        }
    };
    for cell in row.cells {
        take_above(&mut texts, &mut *spanning);
        let text = flat_text(&cell.blocks);
        let repeated = if text.len() <= MAX_REPEATED_BYTES { text.clone() } else { String::new() };
        for at in 0..cell.columns_spanned.max(1) {
            if texts.len() >= MAX_COLUMNS {
                break;
            }
            if cell.rows_spanned > 1 {
                let (column, rows_left) = (texts.len(), cell.rows_spanned - 1);
                spanning.push(Spanning { column, rows_left, text: repeated.clone() });
            }
            texts.push(if at == 0 { text.clone() } else { repeated.clone() });
        }
    }
    take_above(&mut texts, &mut *spanning);
    spanning.sort_by_key(|cell| cell.column);
    texts
}

/// The text of blocks on one line.
pub(super) fn flat_text(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        if !out.is_empty() {
            out.push_str(if matches!(block.kind, BlockKind::ListItem) { "; " } else { " " });
        }
        out.push_str(&block.text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    out
}
