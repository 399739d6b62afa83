//! Reads ODS: the values of all visible sheets, as the file shows them.
//!
//! The file is streamed by this module and not by the library that reads XLSX: that library stores each repeated cell
//! many times over, so that some kilobytes become gigabytes, and never ends on a table without an end.

use std::collections::HashSet;

use super::super::clean::clean_line;
use super::super::document::ParsedDocument;
use super::super::error::ReadError;
use super::super::limits::Limits;
use super::super::package::{Package, title_element};
use super::super::reader::{PageCallback, Reader};
use super::super::sheet_row::CellRange;
use super::super::xml::{Element, Token, XmlReader};
use super::ods_cells::{OdsCell, count_attribute, read_row};
use super::{Cell, Cells, MAX_MERGED, Sheet, Workbook};

/// Reads ODS files, also templates.
pub(crate) struct OdsReader;

impl Reader for OdsReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        self.read_with_progress(bytes, limits, &mut |_| {})
    }

    fn read_with_progress(
        &self,
        bytes: &[u8],
        limits: &Limits,
        on_page: PageCallback<'_>,
    ) -> Result<ParsedDocument, ReadError> {
        let mut package = Package::open(bytes, limits)?;
        if package.part("META-INF/manifest.xml")?.is_some_and(|manifest| manifest.contains(":encryption-data")) {
            return Err(ReadError::Encrypted);
        }
        let title = package.part("meta.xml")?.map_or(Ok(None), |text| title_element(&text))?;
        let content = package.part("content.xml")?.ok_or_else(|| ReadError::corrupt("its content is missing"))?;
        let mut workbook = Workbook::new(limits);
        let mut xml = XmlReader::new(&content);
        let mut styles = HiddenStyles::default();
        loop {
            match xml.next()? {
                Token::StartTag(element) if element.name() == "table" => {
                    let number = workbook.next_number()?;
                    on_page(number);
                    if styles.hide(&element) {
                        workbook.hidden.push(number);
                        xml.skip()?;
                    } else {
                        let name = element.attribute("name").map(|name| clean_line(&name));
                        let sheet = read_sheet(&mut xml, name.filter(|name| !name.is_empty()), &mut workbook)?;
                        workbook.add(&sheet, Some(number))?;
                    }
                }
                Token::StartTag(element) if element.name() == "tracked-changes" => xml.skip()?,
                Token::StartTag(element) => styles.observe(&element),
                Token::EndOfDocument => return Ok(workbook.finish(title, Vec::new())),
                _ => {}
            }
        }
    }
}

/// The names of the styles whose sheets are not displayed.
#[derive(Default)]
struct HiddenStyles {
    names: HashSet<String>,
    current: Option<String>,
}

impl HiddenStyles {
    fn observe(&mut self, element: &Element<'_>) {
        match element.name() {
            "style" => self.current = element.attribute("name"),
            "table-properties" if element.attribute("display").is_some_and(|display| display == "false") => {
                self.names.extend(self.current.take());
            }
            _ => {}
        }
    }

    fn hide(&self, table: &Element<'_>) -> bool {
        table.attribute("style-name").is_some_and(|style| self.names.contains(&style))
    }
}

/// Reads the sheet whose start tag was just read.
fn read_sheet(xml: &mut XmlReader<'_>, name: Option<String>, workbook: &mut Workbook<'_>) -> Result<Sheet, ReadError> {
    let mut cells = Cells::default();
    let mut merged = Vec::new();
    let mut next_row = 1_u32;
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "table-row" => {
                    let repeated = count_attribute(&element, "number-rows-repeated");
                    let row = read_row(xml)?;
                    add_rows(&row, next_row..next_row.saturating_add(repeated), &mut cells, workbook)?;
                    let room = MAX_MERGED.saturating_sub(merged.len());
                    merged.extend(row.iter().filter_map(|cell| cell.merged_range(next_row)).take(room));
                    next_row = next_row.saturating_add(repeated);
                }
                "shapes" | "forms" | "table" => xml.skip()?,
                _ => {}
            },
            Token::EndTag(tag) if tag == "table" => return Ok(Sheet { name, rows: cells.into_rows(), merged }),
            Token::EndOfDocument => return Ok(Sheet { name, rows: cells.into_rows(), merged }),
            _ => {}
        }
    }
}

/// Adds the cells of a row to each of `rows`.
fn add_rows(
    row: &[OdsCell],
    rows: std::ops::Range<u32>,
    cells: &mut Cells,
    workbook: &mut Workbook<'_>,
) -> Result<(), ReadError> {
    workbook.formulas_without_value += row.iter().filter(|cell| cell.is_formula_without_value()).count() as u32;
    let filled: Vec<&OdsCell> = row.iter().filter(|cell| !cell.text.is_empty()).collect();
    if filled.is_empty() {
        return Ok(());
    }
    for number in rows {
        for cell in &filled {
            for column in cell.columns() {
                workbook.budget.count_cell(&cell.text)?;
                cells.push(number, Cell { column, text: cell.text.clone(), is_text: cell.is_text });
            }
        }
    }
    Ok(())
}

impl OdsCell {
    /// The cells that this one is merged with, if it stands in `row`.
    fn merged_range(&self, row: u32) -> Option<CellRange> {
        let (columns, rows) = (self.columns_spanned, self.rows_spanned);
        (columns > 1 || rows > 1).then(|| CellRange {
            first_row: row,
            last_row: row.saturating_add(rows - 1),
            first_column: self.column,
            last_column: self.column.saturating_add(columns - 1),
        })
    }
}
