//! Recognizes the header rows of a table.

use super::super::CellRange;
use super::{Row, Sheet};

/// Maximum number of rows that a header may have.
const MAX_HEADER_ROWS: usize = 4;
/// Joins the labels of a column whose header has several rows.
const LEVEL_SEPARATOR: &str = " / ";

/// The header of a table.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Number of rows that it takes.
    pub row_count: usize,
    /// The label of each of the table's columns; empty where a column has none.
    pub labels: Vec<String>,
}

/// Recognizes the header at the start of `rows`, the consecutive rows of a table with these columns. A header of more
/// than one row is recognized by its merged cells.
pub(super) fn detect(sheet: &Sheet, rows: &[Row], columns: &[u32]) -> Option<Header> {
    let [first, second, ..] = rows else { return None };
    if !looks_like_header(first) || is_row_of_data(first, second) {
        return None;
    }
    let merged: Vec<&CellRange> = sheet.merged.iter().filter(|range| is_near(range, first.number)).collect();
    let mut row_count = 1;
    while row_count < MAX_HEADER_ROWS.min(rows.len() - 1) && continues_header(&rows[..=row_count], &merged) {
        row_count += 1;
    }
    let labels = columns.iter().map(|column| label(&rows[..row_count], *column, &merged)).collect();
    Some(Header { row_count, labels })
}

/// Whether a row may be a header: at least two cells, all of them text with a letter that does not start with a digit.
pub(super) fn looks_like_header(row: &Row) -> bool {
    row.cells.len() > 1
        && row.cells.iter().all(|cell| {
            cell.is_text
                && cell.text.chars().any(char::is_alphabetic)
                && !cell.text.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// Whether `first` is data like the row below it: two cells of a column have the same pattern of letters and digits,
/// such as `PIT-1001` and `PIT-1002`.
fn is_row_of_data(first: &Row, second: &Row) -> bool {
    first.cells.iter().any(|cell| {
        cell.text.chars().any(|c| c.is_ascii_digit())
            && second.cell(cell.column).is_some_and(|below| pattern(&below.text) == pattern(&cell.text))
    })
}

/// The text with each letter replaced by `a` and each digit by `0`.
fn pattern(text: &str) -> String {
    let kind = |c: char| match c {
        _ if c.is_alphabetic() => 'a',
        _ if c.is_ascii_digit() => '0',
        _ => c,
    };
    text.chars().map(kind).collect()
}

/// Whether merged cells can belong to a header that starts in this row.
fn is_near(range: &CellRange, first_row: u32) -> bool {
    range.last_row >= first_row && range.first_row < first_row.saturating_add(MAX_HEADER_ROWS as u32)
}

/// Whether the last of `rows` belongs to the header that consists of the rows before it: a cell is merged downwards
/// into
/// it, or it names the columns below a cell that is merged across them.
fn continues_header(rows: &[Row], merged: &[&CellRange]) -> bool {
    let [header @ .., next] = rows else { return false };
    let (Some(first), Some(last)) = (header.first(), header.last()) else { return false };
    let in_header = |range: &&&CellRange| range.first_row >= first.number && range.first_row <= last.number;
    let spans_next = |range: &&CellRange| range.last_row >= next.number;
    let spans_columns = |range: &&CellRange| range.first_column < range.last_column && range.last_row == last.number;
    merged.iter().filter(in_header).any(spans_next)
        || (merged.iter().filter(in_header).any(spans_columns) && next.cells.iter().all(|cell| cell.is_text))
}

/// The label of a column: the texts of the header rows from top to bottom, each once.
fn label(rows: &[Row], column: u32, merged: &[&CellRange]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for row in rows {
        let own = row.cell(column);
        let covering = || {
            let covers = |range: &&&CellRange| {
                (range.first_row..=range.last_row).contains(&row.number)
                    && (range.first_column..=range.last_column).contains(&column)
            };
            let range = merged.iter().find(covers)?;
            rows.iter().find(|row| row.number == range.first_row)?.cell(range.first_column)
        };
        if let Some(cell) = own.or_else(covering)
            && parts.last() != Some(&cell.text.as_str())
        {
            parts.push(&cell.text);
        }
    }
    parts.join(LEVEL_SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;

    fn row(number: u32, texts: &[&str]) -> Row {
        let cell = |(column, text): (u32, &&str)| Cell {
            column,
            text: (*text).to_owned(),
            is_text: text.parse::<f64>().is_err(),
        };
        Row { number, cells: (0..).zip(texts).map(cell).filter(|cell| !cell.text.is_empty()).collect() }
    }

    fn labels(rows: &[Row], merged: &[&str]) -> Option<(usize, Vec<String>)> {
        let merged = merged.iter().filter_map(|range| CellRange::parse(range)).collect();
        let sheet = Sheet { merged, ..Sheet::default() };
        detect(&sheet, rows, &[0, 1, 2, 3]).map(|header| (header.row_count, header.labels))
    }

    #[test]
    fn the_first_row_of_words_is_the_header() {
        let rows = [row(1, &["Tag", "Service", "Low", "High"]), row(2, &["PIT-1001", "Discharge", "0", "16"])];
        assert_eq!(labels(&rows, &[]), Some((1, ["Tag", "Service", "Low", "High"].map(String::from).to_vec())));
    }

    #[test]
    fn merged_cells_make_a_header_of_two_rows() {
        let rows = [
            row(3, &["Tag", "Service", "Limits"]),
            row(4, &["", "", "Low", "High"]),
            row(5, &["PIT-1001", "Discharge", "0", "16"]),
        ];
        let expected = Some((2, ["Tag", "Service", "Limits / Low", "Limits / High"].map(String::from).to_vec()));
        assert_eq!(labels(&rows, &["C3:D3", "A3:A4", "B3:B4"]), expected);
        assert_eq!(labels(&rows, &["C3:D3"]), expected);
    }

    #[test]
    fn a_table_of_data_alone_has_no_header() {
        let tags = [row(1, &["PIT-1001", "Discharge"]), row(2, &["PIT-1002", "Suction"])];
        assert_eq!(labels(&tags, &[]), None);
        assert_eq!(labels(&[row(1, &["Pump", "16"]), row(2, &["Fan", "9"])], &[]), None);
        assert_eq!(labels(&[row(1, &["Tag", "Service"])], &[]), None);
    }
}
