//! Reads the cells of a row of an ODS sheet.

use std::ops::Range;

use super::super::ReadError;
use super::super::clean::clean_line;
use super::super::xml::{Element, Token, XmlReader};
use super::numbers;

/// Maximum value of a count: more than a sheet has rows or columns.
const MAX_COUNT: u32 = 1 << 21;

/// A cell, possibly repeated to the right.
#[derive(Debug, Default)]
pub(super) struct OdsCell {
    /// The first column, from 0.
    pub column: u32,
    /// Number of neighboring columns with the same content, at least 1.
    repeated: u32,
    /// The value as shown, on one line.
    pub text: String,
    /// Whether the value is text.
    pub is_text: bool,
    /// Number of columns that the cell is merged across, at least 1.
    pub columns_spanned: u32,
    /// Number of rows that the cell is merged across, at least 1.
    pub rows_spanned: u32,
    has_formula: bool,
}

impl OdsCell {
    /// The columns that have this content.
    pub fn columns(&self) -> Range<u32> {
        self.column..self.column.saturating_add(self.repeated)
    }

    /// Whether the cell has a formula whose result is not stored.
    pub fn is_formula_without_value(&self) -> bool {
        self.has_formula && self.text.is_empty()
    }
}

/// The value of an attribute that counts something: at least 1, which it also is where it is missing or no number.
pub(super) fn count_attribute(element: &Element<'_>, name: &str) -> u32 {
    let count = element.attribute(name).and_then(|count| count.parse::<u64>().ok()).unwrap_or(1);
    u32::try_from(count).unwrap_or(MAX_COUNT).clamp(1, MAX_COUNT)
}

/// Reads the row whose start tag was just read.
///
/// # Errors
/// `Corrupt` for malformed XML.
pub(super) fn read_row(xml: &mut XmlReader<'_>) -> Result<Vec<OdsCell>, ReadError> {
    let mut cells = Vec::new();
    let mut column = 0_u32;
    loop {
        match xml.next()? {
            Token::StartTag(element) if matches!(element.name(), "table-cell" | "covered-table-cell") => {
                let mut cell = OdsCell {
                    column,
                    repeated: count_attribute(&element, "number-columns-repeated"),
                    columns_spanned: count_attribute(&element, "number-columns-spanned"),
                    rows_spanned: count_attribute(&element, "number-rows-spanned"),
                    has_formula: element.attribute("formula").is_some(),
                    ..OdsCell::default()
                };
                let shown = clean_line(&shown_text(xml)?);
                let kind = element.attribute("value-type").unwrap_or_default();
                cell.is_text = matches!(kind.as_str(), "" | "string");
                cell.text = stored_value(&element, &kind, shown);
                column = column.saturating_add(cell.repeated);
                if !cell.text.is_empty() || cell.has_formula {
                    cells.push(cell);
                }
            }
            Token::StartTag(_) => xml.skip()?,
            Token::EndTag(name) if name == "table-row" => return Ok(cells),
            Token::EndOfDocument => return Ok(cells),
            _ => {}
        }
    }
}

/// The value of a cell: dates in ISO 8601, anything else as it is shown, or as it is stored if it is not shown.
fn stored_value(element: &Element<'_>, kind: &str, shown: String) -> String {
    let stored = |name: &str| element.attribute(name);
    let date = if kind == "date" { stored("date-value").map(|date| numbers::iso_date_time(&date)) } else { None };
    if let Some(date) = date {
        return clean_line(&date);
    }
    if !shown.is_empty() {
        return shown;
    }
    let value = ["value", "string-value", "boolean-value", "time-value"].into_iter().find_map(stored);
    value.map_or(shown, |value| clean_line(&value))
}

/// The text of the paragraphs of the cell whose start tag was just read, without comments and pictures.
fn shown_text(xml: &mut XmlReader<'_>) -> Result<String, ReadError> {
    let mut text = String::new();
    let mut in_paragraph = 0_usize;
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "p" => {
                    in_paragraph += 1;
                    text.push(' ');
                }
                "s" | "tab" | "line-break" => text.push(' '),
                "annotation" | "table" | "frame" | "custom-shape" | "image" | "ruby-text" => xml.skip()?,
                _ => {}
            },
            Token::Text(part) if in_paragraph > 0 => text.push_str(&part),
            Token::EndTag(name) => match name.as_str() {
                "p" => in_paragraph = in_paragraph.saturating_sub(1),
                "table-cell" | "covered-table-cell" => return Ok(text),
                _ => {}
            },
            Token::EndOfDocument => return Ok(text),
            Token::Text(_) => {}
        }
    }
}
