//! Reads tables, one block per row.

use super::super::xml::{Token, XmlReader};
use super::super::{Block, BlockKind, ReadError};
use super::shading::is_background;
use super::walk::{Item, Walker, flat_text};

/// The table row that is being read.
#[derive(Default)]
struct Row {
    cells: Vec<Vec<Item>>,
    /// Whether the row is marked to repeat at the top of every page, as header rows are.
    header: bool,
    deleted: bool,
}

impl Walker<'_> {
    /// Reads the table whose start tag was just read, and adds its rows to `out`. A table with a single column is
    /// treated as a frame: its content is added without the table.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn table(&mut self, xml: &mut XmlReader<'_>, out: &mut Vec<Item>, depth: usize) -> Result<(), ReadError> {
        let has_background = self.has_background;
        let mut rows = Vec::new();
        let mut styled_first_row = false;
        loop {
            match xml.next()? {
                Token::StartTag(element) => match element.name() {
                    "tblPr" => {
                        let mut styled = false;
                        xml.for_each_inside(|element| match element.name() {
                            "tblStyle" => styled = true,
                            "tblLook" => {
                                styled_first_row = has_first_row_style(element.attribute("firstRow"), element.value())
                            }
                            _ => {}
                        })?;
                        // A table style may give any cell a colored background.
                        self.has_background |= styled;
                    }
                    "tr" => rows.push(self.row(xml, depth)?),
                    "tblGrid" | "del" | "moveFrom" => xml.skip()?,
                    _ => {}
                },
                Token::EndTag(name) if name == "tbl" => break,
                Token::EndOfDocument => break,
                _ => {}
            }
        }
        self.has_background = has_background;
        rows.retain(|row| !row.deleted);
        if rows.iter().all(|row| row.cells.len() <= 1) {
            out.extend(rows.into_iter().flat_map(|row| row.cells).flatten());
            return Ok(());
        }
        let has_more_rows = rows.len() > 1;
        for (at, row) in rows.into_iter().enumerate() {
            let cells: Vec<String> = row.cells.iter().map(|cell| flat_text(cell)).collect();
            let header = row.header || (at == 0 && has_more_rows && styled_first_row && looks_like_header(&cells));
            if cells.iter().any(|cell| !cell.is_empty()) {
                out.push(Item::Block(Block::new(BlockKind::TableRow { header }, cells.join(" | "))));
            }
        }
        Ok(())
    }

    fn row(&mut self, xml: &mut XmlReader<'_>, depth: usize) -> Result<Row, ReadError> {
        let mut row = Row::default();
        loop {
            match xml.next()? {
                Token::StartTag(element) => match element.name() {
                    "trPr" => xml.for_each_inside(|element| match element.name() {
                        "tblHeader" => row.header = element.is_on(),
                        "del" => row.deleted = true,
                        _ => {}
                    })?,
                    "tc" => row.cells.push(self.cell(xml, depth)?),
                    "sdtPr" | "del" => xml.skip()?,
                    _ => {}
                },
                Token::EndTag(name) if name == "tr" => return Ok(row),
                Token::EndOfDocument => return Ok(row),
                _ => {}
            }
        }
    }

    fn cell(&mut self, xml: &mut XmlReader<'_>, depth: usize) -> Result<Vec<Item>, ReadError> {
        let has_background = self.has_background;
        let mut items = Vec::new();
        loop {
            match xml.next()? {
                Token::StartTag(element) => match element.name() {
                    "tcPr" => {
                        let mut shaded = false;
                        xml.for_each_inside(|element| shaded |= element.name() == "shd" && is_background(element))?;
                        self.has_background |= shaded;
                    }
                    "p" => self.paragraph(xml, &mut items, depth)?,
                    // Skip tables that are nested deeper than in any real document.
                    "tbl" if depth > 20 => xml.skip()?,
                    "tbl" => self.table(xml, &mut items, depth + 1)?,
                    "sdtPr" | "del" | "moveFrom" | "Fallback" => xml.skip()?,
                    _ => {}
                },
                Token::EndTag(name) if name == "tc" => break,
                Token::EndOfDocument => break,
                _ => {}
            }
        }
        self.has_background = has_background;
        Ok(items)
    }
}

/// Whether `tblLook` gives the first row its own format: by the `firstRow` attribute, or by bit 0x20 of the older
/// hexadecimal value.
fn has_first_row_style(first_row: Option<String>, bits: Option<String>) -> bool {
    match first_row {
        Some(value) => value == "1" || value == "true",
        None => bits.and_then(|bits| u32::from_str_radix(&bits, 16).ok()).is_some_and(|bits| bits & 0x20 != 0),
    }
}

/// Whether a row looks like a header: every cell contains a letter and none starts with a digit.
fn looks_like_header(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.chars().any(char::is_alphabetic) && !cell.starts_with(|c: char| c.is_ascii_digit()))
}
