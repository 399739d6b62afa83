//! Reads the shapes of a slide.

use super::super::clean::clean_line;
use super::super::xml::{Token, XmlReader};
use super::super::{Block, BlockKind, CELL_SEPARATOR, ReadError};

/// Maximum number of levels by which a list item is indented.
const MAX_INDENT: usize = 8;

/// The text of a slide.
#[derive(Debug, Default)]
pub(super) struct Slide {
    /// The title first, then the other shapes in the order of the file.
    pub blocks: Vec<Block>,
    /// Whether the slide is left out of the show.
    pub is_hidden: bool,
    /// Whether a hidden shape was left out.
    pub has_hidden_text: bool,
}

/// What a shape stands for, by its placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShapeKind {
    Title,
    /// A list of points.
    Body,
    Other,
    /// Date, footer and number of the slide, and the picture of the slide on a page of notes.
    Furniture,
}

/// Parses the part of a slide.
///
/// # Errors
/// `Corrupt` for malformed XML.
pub(super) fn parse(text: &str) -> Result<Slide, ReadError> {
    let mut xml = XmlReader::new(text);
    let mut slide = Slide::default();
    let mut titles = Vec::new();
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "sld" => slide.is_hidden = element.attribute("show").is_some_and(|show| show == "0" || show == "false"),
                "sp" => {
                    let shape = shape(&mut xml)?;
                    if shape.is_hidden {
                        slide.has_hidden_text |= !shape.paragraphs.is_empty();
                    } else if shape.role == ShapeKind::Title {
                        titles.extend(shape.paragraphs.into_iter().map(|paragraph| paragraph.text));
                    } else {
                        slide.blocks.extend(shape.into_blocks());
                    }
                }
                "tbl" => slide.blocks.extend(table(&mut xml)?),
                // The choice of the newer program was read; the fallback repeats it.
                "Fallback" | "timing" | "extLst" => xml.skip()?,
                _ => {}
            },
            Token::EndOfDocument => break,
            _ => {}
        }
    }
    if !titles.is_empty() {
        slide.blocks.insert(0, Block::new(BlockKind::Heading { level: 1 }, titles.join(" ")));
    }
    Ok(slide)
}

/// Parses the part of a slide's notes.
///
/// # Errors
/// `Corrupt` for malformed XML.
pub(super) fn parse_notes(text: &str) -> Result<Vec<Block>, ReadError> {
    let mut xml = XmlReader::new(text);
    let mut blocks = Vec::new();
    loop {
        match xml.next()? {
            Token::StartTag(element) if element.name() == "sp" => {
                let shape = shape(&mut xml)?;
                if !shape.is_hidden && shape.role == ShapeKind::Body {
                    let texts = shape.paragraphs.into_iter().map(|paragraph| paragraph.text);
                    blocks.extend(texts.map(|text| Block::new(BlockKind::Paragraph, text)));
                }
            }
            Token::EndOfDocument => return Ok(blocks),
            _ => {}
        }
    }
}

/// A paragraph of a shape.
struct Paragraph {
    level: usize,
    text: String,
}

/// A shape with text.
struct Shape {
    role: ShapeKind,
    is_hidden: bool,
    paragraphs: Vec<Paragraph>,
}

impl Shape {
    fn into_blocks(self) -> Vec<Block> {
        let role = self.role;
        let is_list = role == ShapeKind::Body && self.paragraphs.len() > 1;
        let block = |paragraph: Paragraph| {
            if is_list {
                let indent = "  ".repeat(paragraph.level.min(MAX_INDENT));
                Block::new(BlockKind::ListItem, format!("{indent}- {}", paragraph.text))
            } else {
                Block::new(BlockKind::Paragraph, paragraph.text)
            }
        };
        if role == ShapeKind::Furniture { Vec::new() } else { self.paragraphs.into_iter().map(block).collect() }
    }
}

/// Reads the shape whose start tag was just read.
fn shape(xml: &mut XmlReader<'_>) -> Result<Shape, ReadError> {
    let mut shape = Shape { role: ShapeKind::Other, is_hidden: false, paragraphs: Vec::new() };
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "cNvPr" => {
                    shape.is_hidden =
                        element.attribute("hidden").is_some_and(|hidden| hidden == "1" || hidden == "true")
                }
                "ph" => {
                    shape.role = match element.attribute("type").unwrap_or_default().as_str() {
                        "title" | "ctrTitle" => ShapeKind::Title,
                        "" | "body" | "obj" => ShapeKind::Body,
                        "dt" | "ftr" | "sldNum" | "sldImg" | "hdr" => ShapeKind::Furniture,
                        _ => ShapeKind::Other,
                    };
                }
                "p" => shape.paragraphs.extend(paragraph(xml)?),
                "Fallback" | "extLst" => xml.skip()?,
                _ => {}
            },
            Token::EndTag(name) if name == "sp" => return Ok(shape),
            Token::EndOfDocument => return Ok(shape),
            _ => {}
        }
    }
}

/// Reads the paragraph whose start tag was just read; `None` if it is blank.
fn paragraph(xml: &mut XmlReader<'_>) -> Result<Option<Paragraph>, ReadError> {
    let mut text = String::new();
    let mut level = 0;
    let mut in_text = false;
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "pPr" => level = element.attribute("lvl").and_then(|level| level.parse().ok()).unwrap_or(0),
                "t" => in_text = true,
                "br" | "tab" => text.push(' '),
                _ => {}
            },
            Token::Text(part) if in_text => text.push_str(&part),
            Token::EndTag(name) => match name.as_str() {
                "t" => in_text = false,
                "p" => break,
                _ => {}
            },
            Token::EndOfDocument => break,
            Token::Text(_) => {}
        }
    }
    let text = clean_line(&text);
    Ok((!text.is_empty()).then_some(Paragraph { level, text }))
}

/// Reads the table whose start tag was just read, one block per row. The first row is the header if the table says so.
fn table(xml: &mut XmlReader<'_>) -> Result<Vec<Block>, ReadError> {
    let mut blocks = Vec::new();
    let mut has_header = false;
    let mut cells: Vec<String> = Vec::new();
    loop {
        match xml.next()? {
            Token::StartTag(element) => match element.name() {
                "tblPr" => {
                    has_header = element.attribute("firstRow").is_some_and(|first| first == "1" || first == "true")
                }
                "tr" => cells.clear(),
                "tc" => cells.push(String::new()),
                "p" => {
                    if let (Some(paragraph), Some(cell)) = (paragraph(xml)?, cells.last_mut()) {
                        if !cell.is_empty() {
                            cell.push(' ');
                        }
                        cell.push_str(&paragraph.text);
                    }
                }
                "extLst" => xml.skip()?,
                _ => {}
            },
            Token::EndTag(name) => match name.as_str() {
                "tr" if cells.iter().any(|cell| !cell.is_empty()) => {
                    let header = has_header && blocks.is_empty();
                    blocks.push(Block::new(BlockKind::TableRow { header }, cells.join(CELL_SEPARATOR)));
                }
                "tbl" => return Ok(blocks),
                _ => {}
            },
            Token::EndOfDocument => return Ok(blocks),
            Token::Text(_) => {}
        }
    }
}
