//! Writes rows of comma-separated values (RFC 4180) that a spreadsheet does not interpret as formulas.

/// Characters at which a spreadsheet starts a formula, or ends the preceding cell.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0'];
/// Their full-width forms, which some spreadsheets convert to the usual ones.
const FULL_WIDTH_STARTS: [char; 4] = ['\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Appends a row. Each cell is quoted, and one that would begin a formula gets an apostrophe before it.
pub(crate) fn push_row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        if begins_formula(cell) {
            text.push('\'');
        }
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }
    text.push_str("\r\n");
}

/// Whether a spreadsheet could take the cell for a formula.
pub(crate) fn begins_formula(cell: &str) -> bool {
    let is_start = |c: char| FORMULA_STARTS.contains(&c) || FULL_WIDTH_STARTS.contains(&c);
    cell.starts_with(is_start) || cell.trim_start().starts_with(is_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_and_none_ends_early() {
        for (cell, expected) in [
            ("P-101A", "\"P-101A\"\r\n"),
            ("=1+1", "\"'=1+1\"\r\n"),
            ("  @SUM(A1)", "\"'  @SUM(A1)\"\r\n"),
            ("-2+3", "\"'-2+3\"\r\n"),
            ("\u{ff1d}1", "\"'\u{ff1d}1\"\r\n"),
            ("a \"b\",\r\nc", "\"a \"\"b\"\",\r\nc\"\r\n"),
            ("\n=1", "\"'\n=1\"\r\n"),
            ("", "\"\"\r\n"),
        ] {
            let mut text = String::new();
            push_row(&mut text, [cell]);
            assert_eq!(text, expected, "{cell:?}");
        }
        let mut text = String::new();
        push_row(&mut text, ["a", "b"]);
        assert_eq!(text, "\"a\",\"b\"\r\n");
    }
}
