//! Where the rows of a sheet stand, and how ranges of cells are written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Separates the cells of a row in a block's text.
pub const CELL_SEPARATOR: &str = " | ";

/// The place of a row in its sheet, and of its cells in the block's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetRow {
    /// The row's number in the sheet, from 1.
    #[serde(rename = "r")]
    pub row: u32,
    /// The first column of the row's table, from 0.
    #[serde(rename = "a")]
    pub first_column: u32,
    /// The last column of the row's table, from 0.
    #[serde(rename = "z")]
    pub last_column: u32,
    /// Byte offset of each cell in the block's text, ascending; the cells are joined with [`CELL_SEPARATOR`].
    #[serde(rename = "c")]
    pub cell_starts: Vec<u32>,
}

impl SheetRow {
    /// The cells of the block's text. An offset that does not fit the text gives an empty cell, because a child process
    /// may send any number.
    pub fn cells<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let ends = self.cell_starts.iter().skip(1).map(|next| (*next as usize).saturating_sub(CELL_SEPARATOR.len()));
        self.cell_starts
            .iter()
            .zip(ends.chain([text.len()]))
            .map(|(start, end)| text.get(*start as usize..end).unwrap_or_default())
    }

    /// The cells of the row's table in this row.
    pub fn range(&self) -> CellRange {
        CellRange {
            first_row: self.row,
            last_row: self.row,
            first_column: self.first_column,
            last_column: self.last_column,
        }
    }
}

/// A rectangle of cells; `Display` writes it as spreadsheet programs do, such as `A2:F14`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellRange {
    /// The first row, from 1.
    pub first_row: u32,
    /// The last row, from 1.
    pub last_row: u32,
    /// The first column, from 0.
    pub first_column: u32,
    /// The last column, from 0.
    pub last_column: u32,
}

impl CellRange {
    /// The smallest range that contains both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            first_row: self.first_row.min(other.first_row),
            last_row: self.last_row.max(other.last_row),
            first_column: self.first_column.min(other.first_column),
            last_column: self.last_column.max(other.last_column),
        }
    }

    /// The range with the name of its sheet, such as `Sheet 'Alarms'!A2:F14`; a file without sheets has only the range.
    pub fn in_sheet(&self, name: Option<&str>) -> String {
        name.map_or_else(|| self.to_string(), |name| format!("Sheet '{name}'!{self}"))
    }

    /// Parses a reference such as `A2:F14` or `B7`; `None` for anything else.
    pub(super) fn parse(reference: &str) -> Option<Self> {
        let (first, last) = reference.split_once(':').unwrap_or((reference, reference));
        let ((first_column, first_row), (last_column, last_row)) = (parse_cell(first)?, parse_cell(last)?);
        let range = Self { first_row, last_row, first_column, last_column };
        (first_row <= last_row && first_column <= last_column).then_some(range)
    }
}

impl fmt::Display for CellRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", column_letters(self.first_column), self.first_row)?;
        if (self.first_row, self.first_column) == (self.last_row, self.last_column) {
            return Ok(());
        }
        write!(f, ":{}{}", column_letters(self.last_column), self.last_row)
    }
}

/// The letters of a column, from 0: `A` to `Z`, then `AA`.
fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

/// Parses a cell's reference such as `$B$7` into column (from 0) and row (from 1).
fn parse_cell(cell: &str) -> Option<(u32, u32)> {
    let cell = cell.replace('$', "");
    let digits = cell.find(|c: char| c.is_ascii_digit())?;
    let (letters, row) = cell.split_at(digits);
    if letters.is_empty() || letters.len() > 3 || row.len() > 7 {
        return None;
    }
    let column = letters.bytes().try_fold(0_u32, |column, letter| {
        letter.is_ascii_alphabetic().then(|| column * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1)
    })?;
    Some((column - 1, row.parse().ok().filter(|row| *row > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_spreadsheet_programs_do_and_read_back() {
        for (reference, column) in [("A1", 0), ("Z9", 25), ("AA10", 26), ("XFD1048576", 16_383)] {
            let range = CellRange::parse(reference).unwrap();
            assert_eq!((range.first_column, range.to_string().as_str()), (column, reference));
        }
        let range = CellRange::parse("$A$2:F14").unwrap();
        assert_eq!(range.in_sheet(Some("Alarms")), "Sheet 'Alarms'!A2:F14");
        assert_eq!(range.in_sheet(None), "A2:F14");
        for invalid in ["", "A", "7", "A0", "B2:A1", "AAAA1", "A12345678", "Ä1"] {
            assert_eq!(CellRange::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn cells_are_found_by_their_offsets_and_wrong_offsets_give_empty_cells() {
        let row =
            |cell_starts: &[u32]| SheetRow { row: 1, first_column: 0, last_column: 2, cell_starts: cell_starts.into() };
        let text = "a | b | c | d";
        assert_eq!(row(&[0, 8, 12]).cells(text).collect::<Vec<_>>(), ["a | b", "c", "d"]);
        assert_eq!(row(&[9, 2, 99]).cells(text).collect::<Vec<_>>(), ["", "", ""]);
    }
}
