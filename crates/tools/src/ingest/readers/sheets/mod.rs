//! Reads spreadsheets: XLSX, ODS and CSV become tables whose rows know their cells.
//!
//! Each visible sheet is a page with the sheet's number and name. Its rows are blocks with a [`SheetRow`], so that a
//! chunk can repeat the header row and name its range of cells.
//!
//! [`SheetRow`]: super::SheetRow

mod csv;
mod header;
mod numbers;
mod ods;
mod ods_cells;
mod tables;
mod xlsx;
mod xlsx_parts;

pub(super) use csv::CsvReader;
pub(super) use ods::OdsReader;
pub(super) use xlsx::XlsxReader;

use super::{CellRange, Limits, Page, ParsedDocument, ReadError, Warning};

/// Maximum number of cells with content in a file.
const MAX_CELLS: usize = 2_000_000;
/// Maximum number of merged cells of a sheet that are used; each table of a sheet looks at all of them.
const MAX_MERGED: usize = 5_000;

/// A cell with content.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    /// The column, from 0.
    column: u32,
    /// The value as the sheet shows it, on one line.
    text: String,
    /// Whether the value is text, and not a number, date, truth value or error.
    is_text: bool,
}

/// A row with at least one cell with content.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    /// The row's number, from 1.
    number: u32,
    /// The cells with content, by ascending column.
    cells: Vec<Cell>,
}

impl Row {
    fn cell(&self, column: u32) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&column, |cell| cell.column).ok()?;
        self.cells.get(at)
    }
}

/// A sheet of a file.
#[derive(Debug, Default)]
struct Sheet {
    /// The name; `None` for the only sheet of a format without sheets.
    name: Option<String>,
    /// The rows with content, by ascending number.
    rows: Vec<Row>,
    /// The merged cells, each with more than one cell.
    merged: Vec<CellRange>,
}

/// Collects the cells of a sheet, which may arrive in any order.
#[derive(Debug, Default)]
struct Cells(Vec<(u32, Cell)>);

impl Cells {
    /// Adds a cell of a row, from 1; an empty one is ignored.
    fn push(&mut self, row: u32, cell: Cell) {
        if !cell.text.is_empty() {
            self.0.push((row, cell));
        }
    }

    /// The rows, with the first of several cells at the same place.
    fn into_rows(mut self) -> Vec<Row> {
        let place = |(row, cell): &(u32, Cell)| (*row, cell.column);
        if !self.0.is_sorted_by_key(place) {
            self.0.sort_by_key(place);
        }
        self.0.dedup_by_key(|cell| place(cell));
        let mut rows: Vec<Row> = Vec::new();
        for (number, cell) in self.0 {
            match rows.last_mut() {
                Some(row) if row.number == number => row.cells.push(cell),
                _ => rows.push(Row { number, cells: vec![cell] }),
            }
        }
        rows
    }
}

/// What may still be taken from a file.
struct Budget<'a> {
    limits: &'a Limits,
    cells: usize,
    text_bytes: usize,
}

impl<'a> Budget<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { limits, cells: 0, text_bytes: 0 }
    }

    /// Counts a cell with content.
    ///
    /// # Errors
    /// `TooLarge` if the file has more cells or more text than allowed.
    fn count_cell(&mut self, text: &str) -> Result<(), ReadError> {
        self.cells += 1;
        if self.cells > MAX_CELLS {
            return Err(ReadError::TooLarge { what: "cells", limit: MAX_CELLS as u64 });
        }
        self.count_text(text.len())
    }

    /// Counts text beyond that of the cells, such as separators of empty cells.
    ///
    /// # Errors
    /// `TooLarge` if the file has more text than allowed.
    fn count_text(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > self.limits.max_text_bytes {
            let limit = self.limits.max_text_bytes as u64;
            return Err(ReadError::TooLarge { what: "bytes of text", limit });
        }
        Ok(())
    }
}

/// Collects the pages of a workbook, sheet by sheet.
struct Workbook<'a> {
    budget: Budget<'a>,
    pages: Vec<Page>,
    /// Number of sheets so far, including hidden ones.
    sheets: u32,
    hidden: Vec<u32>,
    /// Number of formulas without a stored result.
    formulas_without_value: u32,
}

impl<'a> Workbook<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            budget: Budget::new(limits),
            pages: Vec::new(),
            sheets: 0,
            hidden: Vec::new(),
            formulas_without_value: 0,
        }
    }

    /// The number of the next sheet.
    ///
    /// # Errors
    /// `TooLarge` if the file has more sheets than pages are allowed.
    fn next_number(&mut self) -> Result<u32, ReadError> {
        self.sheets += 1;
        if self.sheets > self.budget.limits.max_pages {
            return Err(ReadError::TooLarge { what: "sheets", limit: self.budget.limits.max_pages.into() });
        }
        Ok(self.sheets)
    }

    /// Adds the pages of a visible sheet.
    ///
    /// # Errors
    /// `TooLarge` if the text exceeds the limit.
    fn add(&mut self, sheet: &Sheet, number: Option<u32>) -> Result<(), ReadError> {
        self.pages.extend(tables::pages(sheet, number, &mut self.budget)?);
        Ok(())
    }

    fn finish(self, title: Option<String>, mut warnings: Vec<Warning>) -> ParsedDocument {
        if !self.hidden.is_empty() {
            warnings.push(Warning::HiddenSheets { pages: self.hidden });
        }
        if self.formulas_without_value > 0 {
            warnings.push(Warning::FormulasWithoutValue { cells: self.formulas_without_value });
        }
        let page_count = (self.sheets > 0).then_some(self.sheets);
        ParsedDocument { title, pages: self.pages, page_count, warnings }
    }
}
