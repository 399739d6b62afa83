//! Reads XLSX: the stored values of all visible sheets. Formulas are not calculated, and macros are left out.

use std::io::Cursor;

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};

use super::super::clean::clean_line;
use super::super::document::{ParsedDocument, Warning};
use super::super::error::ReadError;
use super::super::limits::Limits;
use super::super::package::Package;
use super::super::reader::{PageCallback, Reader};
use super::xlsx_parts::{SheetPart, WorkbookParts};
use super::{Cell, Cells, Sheet, Workbook, numbers};

/// Maximum number of columns of a sheet.
const MAX_COLUMNS: u32 = 16_384;

/// Reads XLSX files, also templates and files with macros.
pub(crate) struct XlsxReader;

impl Reader for XlsxReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        self.read_with_progress(bytes, limits, &mut |_| {})
    }

    fn read_with_progress(
        &self,
        bytes: &[u8],
        limits: &Limits,
        on_page: PageCallback<'_>,
    ) -> Result<ParsedDocument, ReadError> {
        let mut parts = WorkbookParts::check(&mut Package::open(bytes, limits)?)?;
        let mut file: Xlsx<Cursor<&[u8]>> = Xlsx::new(Cursor::new(bytes)).map_err(|error| read_error(&error))?;
        let mut workbook = Workbook::new(limits);
        for (position, sheet) in file.sheets_metadata().to_vec().into_iter().enumerate() {
            let number = workbook.next_number()?;
            on_page(number);
            if sheet.visible != SheetVisible::Visible {
                workbook.hidden.push(number);
                continue;
            }
            if sheet.typ != SheetType::WorkSheet {
                continue;
            }
            let SheetPart { merged, formulas_without_value } = parts.take_sheet(position);
            workbook.formulas_without_value = workbook.formulas_without_value.saturating_add(formulas_without_value);
            let rows = read_cells(&mut file, &sheet.name, &mut workbook)?.into_rows();
            let name = Some(clean_line(&sheet.name)).filter(|name| !name.is_empty());
            workbook.add(&Sheet { name, rows, merged }, Some(number))?;
        }
        let warnings = if parts.has_macros { vec![Warning::Macros] } else { Vec::new() };
        Ok(workbook.finish(parts.title, warnings))
    }
}

fn read_cells(file: &mut Xlsx<Cursor<&[u8]>>, name: &str, workbook: &mut Workbook<'_>) -> Result<Cells, ReadError> {
    let mut reader = match file.worksheet_cells_reader(name) {
        Ok(reader) => reader,
        Err(XlsxError::NotAWorksheet(_)) => return Ok(Cells::default()),
        Err(error) => return Err(read_error(&error)),
    };
    let format = |style: &calamine::Style| {
        style.number_format.as_ref().is_some_and(|format| numbers::is_percentage(&format.format_code))
    };
    let percentages: Vec<bool> = reader.styles().iter().map(format).collect();
    let mut cells = Cells::default();
    while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(|error| read_error(&error))? {
        let (row, column) = cell.get_position();
        if column >= MAX_COLUMNS {
            return Err(ReadError::corrupt("a cell lies outside of its sheet"));
        }
        let data = cell.get_value();
        let is_percentage = percentages.get(style).copied().unwrap_or_default();
        let text = clean_line(&numbers::value(data, is_percentage));
        if !text.is_empty() {
            workbook.budget.count_cell(&text)?;
            let is_text = matches!(data, DataRef::String(_) | DataRef::SharedString(_));
            cells.push(row.saturating_add(1), Cell { column, text, is_text });
        }
    }
    Ok(cells)
}

fn read_error(error: &XlsxError) -> ReadError {
    match error {
        XlsxError::Password => ReadError::Encrypted,
        _ => ReadError::corrupt("a sheet or a list of the workbook cannot be read"),
    }
}
