//! Walks the body, headers, footers and notes of a document and collects their blocks in reading order.

use std::collections::HashMap;

use super::super::clean::clean_line;
use super::super::numerals::roman;
use super::super::text::is_list_item;
use super::super::xml::{Token, XmlReader};
use super::super::{Block, BlockKind, ReadError};
use super::numbering::Lists;
use super::paragraph::Paragraph;
use super::styles::{Numbering, Styles};

/// Maximum nesting depth of tables and text boxes; deeper content is dropped.
const MAX_DEPTH: usize = 24;

/// An element of the collected text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A block of text.
    Block(Block),
    /// A hard page break or the end of a section.
    PageBreak,
}

/// The footnotes and endnotes of a document, by id.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub footnotes: HashMap<String, String>,
    pub endnotes: HashMap<String, String>,
    /// Number of footnote references and of endnote references seen so far.
    reference_counts: [usize; 2],
    /// Notes that are referenced on the current page and still have to be added at its end.
    pending_notes: Vec<String>,
}

/// Walks the parts of one document; holds the state that they share.
pub(super) struct Walker<'a> {
    pub styles: &'a Styles,
    pub lists: Lists,
    pub notes: Notes,
    /// The text of the first paragraph in the title style.
    pub title: Option<String>,
    /// Whether invisible text was omitted.
    pub has_hidden_text: bool,
    /// Whether the current text may have a colored background, which would make white text visible.
    pub has_background: bool,
    /// Whether a page break precedes the current paragraph.
    pub page_break_before: bool,
    /// Whether a page break follows the current paragraph, because it ends a section.
    pub page_break_after: bool,
    /// For each open complex field, outermost first, whether the parser is inside its field code.
    pub in_field_code: Vec<bool>,
}

impl<'a> Walker<'a> {
    pub fn new(styles: &'a Styles, lists: Lists) -> Self {
        Self {
            styles,
            lists,
            notes: Notes::default(),
            title: None,
            has_hidden_text: false,
            has_background: false,
            page_break_before: false,
            page_break_after: false,
            in_field_code: Vec::new(),
        }
    }

    /// Collects the content of the first `root` element in the XML of a part.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn collect_part(&mut self, text: &str, root: &str) -> Result<Vec<Item>, ReadError> {
        let mut xml = XmlReader::new(text);
        let mut out = Vec::new();
        loop {
            match xml.next()? {
                Token::StartTag(element) if element.name() == root => {
                    self.collect_blocks(&mut xml, root, &mut out, 0)?;
                    self.append_notes(&mut out);
                    return Ok(out);
                }
                Token::EndOfDocument => return Ok(out),
                _ => {}
            }
        }
    }

    /// Reads the notes of a part, by id; `element` is `footnote` or `endnote`.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn parse_notes(&mut self, text: &str, element: &str) -> Result<HashMap<String, String>, ReadError> {
        let mut xml = XmlReader::new(text);
        let mut notes = HashMap::new();
        loop {
            match xml.next()? {
                Token::StartTag(note) if note.name() == element => {
                    // Notes of any other type are separators between text and notes.
                    let id =
                        note.attribute("id").filter(|_| note.attribute("type").is_none_or(|kind| kind == "normal"));
                    let mut items = Vec::new();
                    self.collect_blocks(&mut xml, element, &mut items, 1)?;
                    if let Some(id) = id {
                        notes.insert(id, flat_text(&items));
                    }
                }
                Token::EndOfDocument => return Ok(notes),
                _ => {}
            }
        }
    }

    /// Collects blocks up to the end of the element `end`, whose start tag was just read.
    pub fn collect_blocks(
        &mut self,
        xml: &mut XmlReader<'_>,
        end: &str,
        out: &mut Vec<Item>,
        depth: usize,
    ) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return xml.skip();
        }
        loop {
            match xml.next()? {
                Token::StartTag(element) => match element.name() {
                    "p" => {
                        self.paragraph(xml, out, depth)?;
                        if std::mem::take(&mut self.page_break_after) {
                            self.push_page_break(out, depth);
                        }
                    }
                    "tbl" => self.table(xml, out, depth + 1)?,
                    "del" | "moveFrom" | "Fallback" | "sdtPr" | "sectPr" => xml.skip()?,
                    _ => {}
                },
                Token::EndTag(name) if name == end => return Ok(()),
                Token::EndOfDocument => return Ok(()),
                _ => {}
            }
        }
    }

    /// Ends the current page, after adding its notes. Breaks inside tables and text boxes are ignored.
    pub fn push_page_break(&mut self, out: &mut Vec<Item>, depth: usize) {
        if depth == 0 {
            self.append_notes(out);
            out.push(Item::PageBreak);
        }
    }

    fn append_notes(&mut self, out: &mut Vec<Item>) {
        let notes = std::mem::take(&mut self.notes.pending_notes);
        out.extend(notes.into_iter().map(|note| Item::Block(Block::new(BlockKind::Paragraph, note))));
    }

    /// Returns the label of a note reference and schedules the note's text for the end of the page.
    pub fn reference_note(&mut self, reference: &str, id: Option<String>) -> String {
        let is_endnote = reference == "endnoteReference";
        let notes = if is_endnote { &self.notes.endnotes } else { &self.notes.footnotes };
        let Some(text) = id.and_then(|id| notes.get(&id)) else { return String::new() };
        let count = &mut self.notes.reference_counts[usize::from(is_endnote)];
        *count += 1;
        let mark = if is_endnote { format!("[{}]", roman(*count)) } else { format!("[{count}]") };
        self.notes.pending_notes.push(format!("{mark} {text}"));
        mark
    }

    /// Adds a finished paragraph with its list label, followed by its text boxes.
    pub fn push_paragraph(&mut self, paragraph: Paragraph, out: &mut Vec<Item>) {
        let style = paragraph.style.as_deref();
        let level = match paragraph.outline {
            Some(level) => (level < 9).then(|| (level + 1).min(6)),
            None => self.styles.heading_level(style),
        };
        let numbering = self.numbering(&paragraph);
        let label = numbering
            .as_ref()
            .and_then(|numbering| Some(self.lists.next_label(numbering.list?, numbering.level.unwrap_or(0))));
        if paragraph.text.trim().is_empty() {
            out.extend(paragraph.text_boxes);
            return;
        }
        if self.styles.is_code(style) {
            push_code(out, paragraph.text.trim_end());
            out.extend(paragraph.text_boxes);
            return;
        }
        let lines: Vec<String> = paragraph.text.lines().map(clean_line).filter(|line| !line.is_empty()).collect();
        let text = lines.join("\n");
        if self.title.is_none() && self.styles.is_title(style) {
            self.title = Some(lines.join(" "));
        }
        let label = label.filter(|label| !label.is_empty());
        let block = match (level, label) {
            (Some(level), Some(label)) if label != "•" => {
                Block::new(BlockKind::Heading { level }, format!("{label} {}", lines.join(" ")))
            }
            (Some(level), _) => Block::new(BlockKind::Heading { level }, lines.join(" ")),
            (None, Some(label)) => {
                let indent = "  ".repeat(numbering.and_then(|numbering| numbering.level).unwrap_or(0).min(8));
                Block::new(BlockKind::ListItem, format!("{indent}{label} {text}"))
            }
            (None, None) if is_list_item(&text) => Block::new(BlockKind::ListItem, text),
            (None, None) => Block::new(BlockKind::Paragraph, text),
        };
        out.push(Item::Block(block));
        out.extend(paragraph.text_boxes);
    }

    /// The list of a paragraph, from the paragraph itself or its style. List id 0 means no list.
    fn numbering(&self, paragraph: &Paragraph) -> Option<Numbering> {
        let from_style = self.styles.numbering(paragraph.style.as_deref());
        let numbering = match (&paragraph.numbering, from_style) {
            (Some(direct), from_style) if direct.list.is_none() => {
                from_style.map(|from_style| Numbering { level: direct.level.or(from_style.level), ..from_style })
            }
            (Some(direct), _) => Some(direct.clone()),
            (None, from_style) => from_style,
        };
        numbering.filter(|numbering| numbering.list.is_some_and(|list| list != 0))
    }
}

/// Appends a line of code. Word stores each line as its own paragraph; consecutive lines are merged into one block.
fn push_code(out: &mut Vec<Item>, text: &str) {
    if let Some(Item::Block(Block { kind: BlockKind::Code, text: code, .. })) = out.last_mut() {
        code.push('\n');
        code.push_str(text);
    } else {
        out.push(Item::Block(Block::new(BlockKind::Code, text)));
    }
}

/// The text of the items on a single line, for a table cell or a note.
pub(super) fn flat_text(items: &[Item]) -> String {
    let mut out = String::new();
    for item in items {
        let Item::Block(block) = item else { continue };
        if !out.is_empty() {
            out.push_str(if matches!(block.kind, BlockKind::TableRow { .. } | BlockKind::ListItem) {
                "; "
            } else {
                " "
            });
        }
        match block.kind {
            BlockKind::TableRow { .. } => out.push_str(&block.text.replace(" | ", ", ")),
            _ => out.push_str(&clean_line(&block.text)),
        }
    }
    out
}
