//! Tables, row by row.

use super::super::{Block, BlockKind, ReadError};
use super::paragraph::is_ground;
use super::walk::{Item, Walker, flat_text};
use super::xml::{Token, Xml};

/// A row as read.
#[derive(Default)]
struct Row {
    cells: Vec<Vec<Item>>,
    /// Declared to repeat on every page, as a header does.
    header: bool,
    deleted: bool,
}

impl Walker<'_> {
    /// Reads the table that was just opened and adds its rows to `out`. A table of one column is a frame around its
    /// content rather than a table.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn table(&mut self, xml: &mut Xml<'_>, out: &mut Vec<Item>, depth: usize) -> Result<(), ReadError> {
        let ground = self.on_ground;
        let mut rows = Vec::new();
        let mut styled_first_row = false;
        loop {
            match xml.next()? {
                Token::Open(element) => match element.name() {
                    "tblPr" => {
                        let mut styled = false;
                        xml.inside(|element| match element.name() {
                            "tblStyle" => styled = true,
                            "tblLook" => {
                                styled_first_row = looks_at_first_row(element.attribute("firstRow"), element.value())
                            }
                            _ => {}
                        })?;
                        // A table style may colour the ground of any cell.
                        self.on_ground |= styled;
                    }
                    "tr" => rows.push(self.row(xml, depth)?),
                    "tblGrid" | "del" | "moveFrom" => xml.skip()?,
                    _ => {}
                },
                Token::Close(name) if name == "tbl" => break,
                Token::End => break,
                _ => {}
            }
        }
        self.on_ground = ground;
        rows.retain(|row| !row.deleted);
        if rows.iter().all(|row| row.cells.len() <= 1) {
            out.extend(rows.into_iter().flat_map(|row| row.cells).flatten());
            return Ok(());
        }
        let more = rows.len() > 1;
        for (at, row) in rows.into_iter().enumerate() {
            let cells: Vec<String> = row.cells.iter().map(|cell| flat_text(cell)).collect();
            let header = row.header || (at == 0 && more && styled_first_row && names_columns(&cells));
            if cells.iter().any(|cell| !cell.is_empty()) {
                out.push(Item::Block(Block::new(BlockKind::TableRow { header }, cells.join(" | "))));
            }
        }
        Ok(())
    }

    fn row(&mut self, xml: &mut Xml<'_>, depth: usize) -> Result<Row, ReadError> {
        let mut row = Row::default();
        loop {
            match xml.next()? {
                Token::Open(element) => match element.name() {
                    "trPr" => xml.inside(|element| match element.name() {
                        "tblHeader" => row.header = element.is_on(),
                        "del" => row.deleted = true,
                        _ => {}
                    })?,
                    "tc" => row.cells.push(self.cell(xml, depth)?),
                    "sdtPr" | "del" => xml.skip()?,
                    _ => {}
                },
                Token::Close(name) if name == "tr" => return Ok(row),
                Token::End => return Ok(row),
                _ => {}
            }
        }
    }

    fn cell(&mut self, xml: &mut Xml<'_>, depth: usize) -> Result<Vec<Item>, ReadError> {
        let ground = self.on_ground;
        let mut items = Vec::new();
        loop {
            match xml.next()? {
                Token::Open(element) => match element.name() {
                    "tcPr" => {
                        let mut shaded = false;
                        xml.inside(|element| shaded |= element.name() == "shd" && is_ground(element))?;
                        self.on_ground |= shaded;
                    }
                    "p" => self.paragraph(xml, &mut items, depth)?,
                    // Deeper than any real table: dropped rather than followed.
                    "tbl" if depth > 20 => xml.skip()?,
                    "tbl" => self.table(xml, &mut items, depth + 1)?,
                    "sdtPr" | "del" | "moveFrom" | "Fallback" => xml.skip()?,
                    _ => {}
                },
                Token::Close(name) if name == "tc" => break,
                Token::End => break,
                _ => {}
            }
        }
        self.on_ground = ground;
        Ok(items)
    }
}

/// `tblLook` says that the first row is set apart, as an attribute of its own or as bit 5 of a hexadecimal number.
fn looks_at_first_row(first_row: Option<String>, bits: Option<String>) -> bool {
    match first_row {
        Some(value) => value == "1" || value == "true",
        None => bits.and_then(|bits| u32::from_str_radix(&bits, 16).ok()).is_some_and(|bits| bits & 0x20 != 0),
    }
}

/// Every cell has a word, and none begins with a figure.
fn names_columns(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.chars().any(char::is_alphabetic) && !cell.starts_with(|c: char| c.is_ascii_digit()))
}
