//! Tables: columns are aligned on a terminal, and separated by tabs elsewhere, so that `cut` and `awk` can parse them.

use super::printable::to_single_line;

/// A table of text cells.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[&str]) -> Self {
        Self { header: columns.iter().map(|column| (*column).to_uppercase()).collect(), rows: Vec::new() }
    }

    /// Adds a row; line breaks within a cell become spaces.
    pub fn push_row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| to_single_line(&cell)).collect());
    }

    /// The lines with aligned columns, the header first.
    pub fn aligned_lines(&self) -> Vec<String> {
        let all_rows = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| all_rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<_> = (0..self.header.len()).map(|column| width(column).unwrap_or_default()).collect();
        let pad = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        all_rows().map(pad).collect()
    }

    /// The lines with a tab between two cells, without a header.
    pub fn tab_separated_lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.join("\t")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["id", "name"]);
        table.push_row(["1".to_owned(), "größer".to_owned()]);
        table.push_row(["12".to_owned(), "two\nlines\tand a tab".to_owned()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        assert_eq!(table().aligned_lines(), ["ID  NAME", "1   größer", "12  two lines and a tab"]);
    }

    #[test]
    fn without_a_terminal_tabs_separate_the_cells_and_do_not_occur_in_them() {
        assert_eq!(table().tab_separated_lines(), ["1\tgrößer", "12\ttwo lines and a tab"]);
    }
}
