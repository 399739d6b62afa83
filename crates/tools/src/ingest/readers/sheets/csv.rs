//! Reads CSV: a table whose delimiter and encoding are found from its content.

use super::super::clean::clean_line;
use super::super::document::ParsedDocument;
use super::super::error::ReadError;
use super::super::limits::Limits;
use super::super::reader::Reader;
use super::super::text::{DecodedText, decode_within_limits};
use super::{Cell, Cells, Sheet, Workbook};

/// Delimiters, in the order in which they win a tie.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// Number of lines at the beginning that decide the delimiter.
const SAMPLE_LINES: usize = 50;
/// Maximum number of columns, as in spreadsheet programs.
const MAX_COLUMNS: usize = 16_384;

/// Reads CSV files, also with semicolons, tabs or vertical bars as delimiters.
pub(crate) struct CsvReader;

impl Reader for CsvReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        let DecodedText { text, warnings } = decode_within_limits(bytes, limits)?;
        let (text, declared) = declared_delimiter(&text);
        let delimiter = declared.unwrap_or_else(|| detect_delimiter(text));
        let mut records = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut workbook = Workbook::new(limits);
        let mut cells = Cells::default();
        let mut record = csv::StringRecord::new();
        let mut row = 0;
        while records.read_record(&mut record).map_err(|_| ReadError::corrupt("a record cannot be read"))? {
            row = next_row(text, record.position(), row);
            if record.len() > MAX_COLUMNS {
                return Err(ReadError::TooLarge { what: "columns", limit: MAX_COLUMNS as u64 });
            }
            for (column, field) in (0..).zip(&record) {
                let text = clean_line(field);
                if !text.is_empty() {
                    workbook.budget.count_cell(&text)?;
                    let is_text = !is_number(&text);
                    cells.push(row, Cell { column, text, is_text });
                }
            }
        }
        let sheet = Sheet { rows: cells.into_rows(), ..Sheet::default() };
        workbook.add(&sheet, None)?;
        Ok(workbook.finish(None, warnings))
    }
}

/// The row of a record. A spreadsheet program counts records and empty lines, which the parser skips before a record.
fn next_row(text: &str, position: Option<&csv::Position>, last: u32) -> u32 {
    let start = position.map_or(0, |at| usize::try_from(at.byte()).unwrap_or(usize::MAX)).min(text.len());
    let skipped = text.as_bytes()[start..].iter().take_while(|byte| **byte == b'\n').count();
    last.saturating_add(1).saturating_add(u32::try_from(skipped).unwrap_or(u32::MAX))
}

/// Whether a field is a number in the notation of any country, and not a word.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits > 0 && text.chars().all(|c| c.is_ascii_digit() || ".,-+ %'eE:/".contains(c))
}

/// Takes the delimiter from the line `sep=;` that spreadsheet programs understand. The line is left out.
fn declared_delimiter(text: &str) -> (&str, Option<u8>) {
    let Some(rest) = text.strip_prefix("sep=") else { return (text, None) };
    match (rest.as_bytes(), rest.get(1..)) {
        ([delimiter, b'\n', ..], Some(rest)) if DELIMITERS.contains(delimiter) => (&rest[1..], Some(*delimiter)),
        _ => (text, None),
    }
}

/// The delimiter that occurs equally often in most of the first lines; of these, the most frequent one. Delimiters in
/// quotes do not count.
fn detect_delimiter(text: &str) -> u8 {
    let mut counts = [[0_usize; SAMPLE_LINES]; DELIMITERS.len()];
    let (mut line, mut quoted, mut is_empty) = (0, false, true);
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                line += usize::from(!is_empty);
                is_empty = true;
                if line == SAMPLE_LINES {
                    break;
                }
            }
            _ if quoted => {}
            _ => {
                is_empty = false;
                if let Some(at) = DELIMITERS.iter().position(|delimiter| *delimiter == byte) {
                    counts[at][line] += 1;
                }
            }
        }
    }
    let lines = (line + usize::from(!is_empty)).clamp(1, SAMPLE_LINES);
    let score = |counts: &[usize; SAMPLE_LINES]| {
        let counts = &counts[..lines];
        let usual = counts.iter().copied().max_by_key(|count| counts.iter().filter(|other| *other == count).count());
        let usual = usual.unwrap_or_default();
        let consistent = counts.iter().filter(|count| **count == usual).count();
        if usual == 0 { (0, counts.iter().sum()) } else { (consistent * 100 / lines, usual) }
    };
    let best = counts.iter().enumerate().max_by_key(|(at, counts)| (score(counts), std::cmp::Reverse(*at)));
    best.map_or(b',', |(at, _)| DELIMITERS[at])
}

#[cfg(test)]
mod tests {
    use super::super::super::{Block, BlockKind};
    use super::*;

    fn blocks(bytes: &[u8]) -> Vec<Block> {
        CsvReader.read(bytes, &Limits::default()).unwrap().pages.into_iter().flat_map(|page| page.blocks).collect()
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        blocks(bytes).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn the_delimiter_is_found_and_quotes_are_resolved() {
        let expected = ["Tag | Service | Range", "PIT-1001 | Discharge, \"hot\" | 0..16 bar", "TI-2 | Inlet | 0..150"];
        for delimiter in [",", ";", "\t", "|"] {
            let text = [
                format!("Tag{delimiter}Service{delimiter}Range"),
                format!("PIT-1001{delimiter}\"Discharge, \"\"hot\"\"\"{delimiter}0..16 bar"),
                format!("TI-2{delimiter}Inlet{delimiter}0..150"),
            ];
            assert_eq!(texts(text.join("\r\n").as_bytes()), expected, "{delimiter:?}");
        }
        assert_eq!(texts(b"sep=;\nTag;Low,High\nPIT-1;1,2\n"), ["Tag | Low,High", "PIT-1 | 1,2"]);
    }

    #[test]
    fn encodings_are_recognized() {
        let expected = ["Gerät | Größe", "Kühler | 4 °C"];
        let text = "Gerät;Größe\nKühler;4 °C\n";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let latin = b"Ger\xE4t;Gr\xF6\xDFe\nK\xFChler;4 \xB0C\n";
        for bytes in [text.as_bytes(), &[b"\xFF\xFE".as_slice(), &utf16].concat(), &utf16, latin] {
            assert_eq!(texts(bytes), expected);
        }
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_program_does() {
        let blocks = blocks(b"Tag;Note\n\nPIT-1;\"two\nlines\"\n\n\nPIT-2;one\n");
        let rows: Vec<_> = blocks.iter().map(|block| block.sheet_row.as_ref().map(|row| row.row)).collect();
        assert_eq!(rows, [Some(1), Some(3), Some(6)]);
        assert_eq!(blocks[1].text, "PIT-1 | two lines");
        assert_eq!(blocks[2].kind, BlockKind::TableRow { header: false });
    }
}
