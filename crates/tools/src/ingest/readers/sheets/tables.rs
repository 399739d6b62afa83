//! Turns the rows of a sheet into blocks: tables with a header, and the text around them.

use std::collections::BTreeSet;

use super::super::{Block, BlockKind, CELL_SEPARATOR, Page, ReadError, SheetRow};
use super::header::{self, Header};
use super::{Budget, Row, Sheet};

/// Number of rows per page. A long sheet is split, so that neither side of the sandbox holds it twice; each part
/// repeats
/// the header.
const ROWS_PER_PAGE: usize = 2_000;
/// Maximum length of the lines above a table that are repeated with its header, in bytes.
const MAX_CAPTION_BYTES: usize = 120;
/// Maximum number of rows of one cell before a table that are taken for its title.
const MAX_TITLE_ROWS: usize = 4;

/// The pages of a sheet: one, or several with the same number if it is long.
///
/// # Errors
/// `TooLarge` if the text exceeds the limit; empty cells count with their separators.
pub(super) fn pages(sheet: &Sheet, number: Option<u32>, budget: &mut Budget<'_>) -> Result<Vec<Page>, ReadError> {
    let mut writer = TableWriter {
        sheet,
        number,
        budget,
        pages: Vec::new(),
        blocks: Vec::new(),
        rows_on_page: 0,
        columns: Vec::new(),
        header: Vec::new(),
        pending_titles: Vec::new(),
    };
    for rows in sheet.rows.chunk_by(|above, below| above.number + 1 == below.number) {
        writer.add_region(rows)?;
    }
    writer.flush_titles()?;
    writer.end_page();
    Ok(writer.pages)
}

/// The line that heads a table.
struct Caption {
    /// The lines above the table; empty if there are none.
    title: String,
    /// The first row of the title, or else of the table.
    row: u32,
}

/// Writes the blocks of a sheet.
struct TableWriter<'s, 'b, 'l> {
    sheet: &'s Sheet,
    number: Option<u32>,
    budget: &'b mut Budget<'l>,
    pages: Vec<Page>,
    blocks: Vec<Block>,
    rows_on_page: usize,
    /// The columns of the current table; empty before the first one.
    columns: Vec<u32>,
    /// The blocks that head each part of the current table: its caption and header row.
    header: Vec<Block>,
    /// Rows of one cell that may be the title of the next table.
    pending_titles: Vec<Row>,
}

impl TableWriter<'_, '_, '_> {
    /// Adds rows between two empty ones.
    fn add_region(&mut self, rows: &[Row]) -> Result<(), ReadError> {
        let titles = rows.iter().take_while(|row| row.cells.len() == 1).count();
        let (titles, table) = rows.split_at(titles);
        if table.is_empty() && self.pending_titles.len() + titles.len() <= MAX_TITLE_ROWS {
            self.pending_titles.extend_from_slice(titles);
            return Ok(());
        }
        let columns: BTreeSet<u32> = table.iter().flat_map(|row| &row.cells).map(|cell| cell.column).collect();
        let columns: Vec<u32> = columns.into_iter().collect();
        let header = header::detect(self.sheet, table, &columns);
        let has_title = !titles.is_empty() || (!self.pending_titles.is_empty() && header.is_some());
        if table.is_empty() || (!has_title && self.continues_table(&columns, header.as_ref())) {
            self.flush_titles()?;
            return rows.iter().try_for_each(|row| self.add_row(row, &columns));
        }
        let titles = [std::mem::take(&mut self.pending_titles).as_slice(), titles].concat();
        let caption = self.caption(&titles);
        if caption.is_none() {
            self.columns.clear();
            self.header.clear();
            titles.iter().try_for_each(|row| self.add_row(row, &[]))?;
        }
        let data = header.as_ref().map_or(0, |header| header.row_count);
        let first_row = titles.first().or(table.first()).map_or(1, |row| row.number);
        let caption = Caption { title: caption.unwrap_or_default(), row: first_row };
        self.start_table(&caption, header, table, columns)?;
        table[data..].iter().try_for_each(|row| self.add_row(row, &[]))
    }

    /// Adds the pending titles, which no table follows.
    fn flush_titles(&mut self) -> Result<(), ReadError> {
        std::mem::take(&mut self.pending_titles).iter().try_for_each(|row| self.add_row(row, &[]))
    }

    /// Whether rows without a title that follow an empty row belong to the table above it: they have no columns of
    /// their
    /// own, and the header above is not repeated.
    fn continues_table(&self, columns: &[u32], header: Option<&Header>) -> bool {
        let is_repeated = header.is_some_and(|header| {
            let labels = header.labels.iter().map(String::as_str);
            self.header.last().and_then(|block| Some(block.sheet_row.as_ref()?.cells(&block.text).eq(labels)))
                == Some(true)
        });
        let fits = !self.columns.is_empty() && columns.iter().all(|column| self.columns.contains(column));
        fits && !is_repeated && (header.is_none() || columns == self.columns)
    }

    /// The lines above a table as one line, to be repeated with its header; `None` if they are too long for that.
    fn caption(&self, titles: &[Row]) -> Option<String> {
        let texts = titles.iter().flat_map(|row| &row.cells).map(|cell| cell.text.as_str());
        let title = texts.collect::<Vec<_>>().join(" – ");
        (title.len() <= MAX_CAPTION_BYTES).then_some(title)
    }

    /// Starts a table: its caption and header row head every part of it.
    fn start_table(
        &mut self,
        caption: &Caption,
        header: Option<Header>,
        rows: &[Row],
        columns: Vec<u32>,
    ) -> Result<(), ReadError> {
        let name = self.sheet.name.as_deref().map(|name| format!("Sheet '{name}'"));
        let parts =
            [name.as_deref(), Some(caption.title.as_str())].into_iter().flatten().filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join(": ");
        self.columns = columns;
        self.header = Vec::new();
        if !text.is_empty() {
            self.header.push(row_block(BlockKind::TableRow { header: true }, caption.row, &[&text], &self.columns));
        }
        if let (Some(header), Some(first)) = (header, rows.first()) {
            let labels: Vec<&str> = header.labels.iter().map(String::as_str).collect();
            self.header.push(row_block(BlockKind::TableRow { header: true }, first.number, &labels, &self.columns));
        }
        self.write_header()
    }

    fn write_header(&mut self) -> Result<(), ReadError> {
        self.budget.count_text(self.header.iter().map(|block| block.text.len()).sum())?;
        self.blocks.extend(self.header.iter().cloned());
        Ok(())
    }

    /// Adds a row: of the current table, or as a paragraph where there is none.
    fn add_row(&mut self, row: &Row, columns: &[u32]) -> Result<(), ReadError> {
        if self.rows_on_page >= ROWS_PER_PAGE {
            self.end_page();
            self.write_header()?;
        }
        self.rows_on_page += 1;
        let in_table = !self.columns.is_empty();
        let columns: Vec<u32> = match (in_table, columns.is_empty()) {
            (true, _) => self.columns.clone(),
            (false, false) => columns.to_vec(),
            (false, true) => row.cells.iter().map(|cell| cell.column).collect(),
        };
        let mut texts: Vec<&str> = Vec::with_capacity(columns.len());
        let mut cells = row.cells.iter().peekable();
        for column in &columns {
            // A title within a table may stand in a column that the table does not have.
            while cells.next_if(|cell| cell.column < *column).is_some() {}
            texts.push(cells.next_if(|cell| cell.column == *column).map_or("", |cell| cell.text.as_str()));
        }
        let outside: Vec<&str> = row
            .cells
            .iter()
            .filter(|cell| columns.binary_search(&cell.column).is_err())
            .map(|cell| cell.text.as_str())
            .collect();
        texts.truncate(texts.iter().rposition(|text| !text.is_empty()).map_or(0, |last| last + 1));
        texts.extend(outside);
        self.budget.count_text(texts.len() * CELL_SEPARATOR.len())?;
        let kind = if in_table { BlockKind::TableRow { header: false } } else { BlockKind::Paragraph };
        self.blocks.push(row_block(kind, row.number, &texts, &columns));
        Ok(())
    }

    fn end_page(&mut self) {
        self.rows_on_page = 0;
        if self.blocks.is_empty() {
            return;
        }
        let blocks = std::mem::take(&mut self.blocks);
        self.pages.push(Page { number: self.number, label: self.sheet.name.clone(), blocks, ..Page::default() });
    }
}

/// A block of cells in these columns.
fn row_block(kind: BlockKind, row: u32, texts: &[&str], columns: &[u32]) -> Block {
    let mut cell_starts = Vec::with_capacity(texts.len());
    let mut text = String::new();
    for (at, cell) in texts.iter().enumerate() {
        if at > 0 {
            text.push_str(CELL_SEPARATOR);
        }
        cell_starts.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        text.push_str(cell);
    }
    let (first_column, last_column) =
        (columns.first().copied().unwrap_or_default(), columns.last().copied().unwrap_or_default());
    Block { sheet_row: Some(SheetRow { row, first_column, last_column, cell_starts }), ..Block::new(kind, text) }
}
