//! Rows of a sheet that do not fit into a chunk together with their header: each cell then names its column itself.

use text_splitter::{ChunkConfig, TextSplitter};

use super::super::readers::{Block, BlockKind};
use super::units::{Measure, TokenSizer};

/// Joins the cells of a record.
const SEPARATOR: &str = " | ";
/// A column's label takes at most this share of a chunk; a longer one is left out.
const MAX_LABEL_SHARE: usize = 4;
/// The first cell of a row is repeated in each of its records if it takes at most this share of a chunk.
const MAX_KEY_SHARE: usize = 4;

/// Lines that leave this many tokens are not counted again when they are joined.
const SPARE_TOKENS: usize = 4;

/// The header of the current table of a sheet.
#[derive(Debug, Default)]
pub(super) struct SheetHeader {
    /// The blocks that the packer repeats, one line each.
    lines: Vec<String>,
    /// Number of tokens of all lines.
    tokens: usize,
    labels: Vec<String>,
    /// Whether the last block was part of the header.
    is_open: bool,
}

impl SheetHeader {
    /// Takes note of a block: a header row starts or continues a header, and a block that is no row ends the table.
    pub fn observe(&mut self, block: &Block, measure: &Measure<'_>) {
        match block.kind {
            BlockKind::TableRow { header: true } => {
                if !self.is_open {
                    *self = Self { is_open: true, ..Self::default() };
                }
                let line = block.text.trim();
                self.tokens += measure.tokens(line);
                self.lines.push(line.to_owned());
                // A single cell is a caption.
                if let Some(row) = block.sheet_row.as_ref().filter(|row| row.cell_starts.len() > 1) {
                    self.labels = row.cells(&block.text).map(str::to_owned).collect();
                }
            }
            BlockKind::TableRow { header: false } => self.is_open = false,
            _ => *self = Self::default(),
        }
    }

    /// The records of a sheet's row of data, each within the limit; `None` if the block is no such row, or fits into a
    /// chunk below its header.
    pub fn records(&self, block: &Block, measure: &Measure<'_>) -> Option<Vec<String>> {
        let row = block.sheet_row.as_ref().filter(|_| block.kind == BlockKind::TableRow { header: false })?;
        if self.fits_below_header(&block.text, measure) {
            return None;
        }
        let cells = row.cells(&block.text).enumerate().filter(|(_, cell)| !cell.trim().is_empty());
        let cells: Vec<(String, &str)> = cells.map(|(at, cell)| (self.label(at, measure), cell)).collect();
        Some(pack_cells(&cells, measure))
    }

    fn fits_below_header(&self, text: &str, measure: &Measure<'_>) -> bool {
        let (max, row) = (measure.max_tokens, measure.tokens(text.trim()));
        if self.lines.is_empty() {
            return row <= max;
        }
        // The packer repeats the header under the same conditions.
        self.tokens * 2 <= max
            && (self.tokens + row + SPARE_TOKENS <= max
                || measure.tokens(&format!("{}\n{}", self.lines.join("\n"), text.trim())) <= max)
    }

    /// The label of the cell at this position of a row, with a colon; empty if the column has none.
    fn label(&self, at: usize, measure: &Measure<'_>) -> String {
        let label = self.labels.get(at).filter(|label| !label.trim().is_empty());
        let fits = |label: &&String| measure.tokens(label) * MAX_LABEL_SHARE <= measure.max_tokens;
        label.filter(fits).map(|label| format!("{label}: ")).unwrap_or_default()
    }
}

/// Packs labelled cells into records. The first cell is repeated in each, because it usually names what the row is
/// about.
fn pack_cells(cells: &[(String, &str)], measure: &Measure<'_>) -> Vec<String> {
    let key = cells.first().map(|(label, cell)| format!("{label}{cell}"));
    let key = key.filter(|key| measure.tokens(key) * MAX_KEY_SHARE <= measure.max_tokens);
    let mut records: Vec<String> = Vec::new();
    let mut current: Option<String> = None;
    for (label, cell) in cells {
        for part in split_cell(label, cell, key.as_deref(), measure) {
            let joined = current.as_ref().map(|record| format!("{record}{SEPARATOR}{part}"));
            match joined.filter(|joined| measure.tokens(joined) <= measure.max_tokens) {
                Some(joined) => current = Some(joined),
                None => {
                    let repeats_key = current.is_some();
                    records.extend(current.take());
                    let with_key = key.as_ref().filter(|_| repeats_key).map(|key| format!("{key}{SEPARATOR}{part}"));
                    let fitting = with_key.filter(|record| measure.tokens(record) <= measure.max_tokens);
                    current = Some(fitting.unwrap_or(part));
                }
            }
        }
    }
    records.extend(current);
    records
}

/// A cell with its label, in parts that fit into a chunk below the row's key.
fn split_cell(label: &str, cell: &str, key: Option<&str>, measure: &Measure<'_>) -> Vec<String> {
    let whole = format!("{label}{cell}");
    if measure.tokens(&whole) <= measure.max_tokens {
        return vec![whole];
    }
    let prefix = key.map_or_else(|| label.to_owned(), |key| format!("{key}{SEPARATOR}{label}"));
    // One token more, because the parts may be counted differently once they are joined.
    let room = measure.max_tokens.saturating_sub(measure.tokens(&prefix) + 1).max(1);
    let config = ChunkConfig::new(room).with_sizer(TokenSizer(measure.count_tokens));
    let splitter = TextSplitter::new(config);
    splitter.chunks(cell).map(|part| format!("{label}{part}")).collect()
}
