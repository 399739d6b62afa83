//! Walks the body of a document, and of its headers and notes, and collects blocks in reading order.

use std::collections::HashMap;

use super::super::clean::clean_line;
use super::super::numerals::roman;
use super::super::text::is_list_item;
use super::super::{Block, BlockKind, ReadError};
use super::numbering::Lists;
use super::paragraph::Paragraph;
use super::styles::{Numbering, Styles};
use super::xml::{Token, Xml};

/// How deep tables and text boxes may nest; what is deeper is dropped.
const MAX_DEPTH: usize = 24;

/// What a walk yields.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Block(Block),
    PageBreak,
}

/// Footnotes and endnotes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub footnotes: HashMap<String, String>,
    pub endnotes: HashMap<String, String>,
    shown: [usize; 2],
    /// Notes that the current page refers to and that have not been put under it.
    pending: Vec<String>,
}

/// Walks the parts of one document.
pub(super) struct Walker<'a> {
    pub styles: &'a Styles,
    pub lists: Lists,
    pub notes: Notes,
    /// The text of the first paragraph in the title style.
    pub title: Option<String>,
    /// True when text was left out that nobody can see.
    pub hid_text: bool,
    /// True while a coloured ground may make white text visible.
    pub on_ground: bool,
    pub breaks_before: bool,
    pub breaks_after: bool,
    /// For each complex field that is open, whether its code is being read.
    pub fields: Vec<bool>,
}

impl<'a> Walker<'a> {
    pub fn new(styles: &'a Styles, lists: Lists) -> Self {
        Self {
            styles,
            lists,
            notes: Notes::default(),
            title: None,
            hid_text: false,
            on_ground: false,
            breaks_before: false,
            breaks_after: false,
            fields: Vec::new(),
        }
    }

    /// Everything inside the first `root` element of a part.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn part(&mut self, text: &str, root: &str) -> Result<Vec<Item>, ReadError> {
        let mut xml = Xml::new(text);
        let mut out = Vec::new();
        loop {
            match xml.next()? {
                Token::Open(element) if element.name() == root => {
                    self.blocks(&mut xml, root, &mut out, 0)?;
                    self.put_notes(&mut out);
                    return Ok(out);
                }
                Token::End => return Ok(out),
                _ => {}
            }
        }
    }

    /// The notes of a part, by identifier; `element` is `footnote` or `endnote`.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn notes(&mut self, text: &str, element: &str) -> Result<HashMap<String, String>, ReadError> {
        let mut xml = Xml::new(text);
        let mut notes = HashMap::new();
        loop {
            match xml.next()? {
                Token::Open(note) if note.name() == element => {
                    // Separators are notes with a type.
                    let id =
                        note.attribute("id").filter(|_| note.attribute("type").is_none_or(|kind| kind == "normal"));
                    let mut items = Vec::new();
                    self.blocks(&mut xml, element, &mut items, 1)?;
                    if let Some(id) = id {
                        notes.insert(id, flat_text(&items));
                    }
                }
                Token::End => return Ok(notes),
                _ => {}
            }
        }
    }

    /// Blocks up to the end of the element `end`, which was just opened.
    pub fn blocks(&mut self, xml: &mut Xml<'_>, end: &str, out: &mut Vec<Item>, depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return xml.skip();
        }
        loop {
            match xml.next()? {
                Token::Open(element) => match element.name() {
                    "p" => {
                        self.paragraph(xml, out, depth)?;
                        if std::mem::take(&mut self.breaks_after) {
                            self.page_break(out, depth);
                        }
                    }
                    "tbl" => self.table(xml, out, depth + 1)?,
                    "del" | "moveFrom" | "Fallback" | "sdtPr" | "sectPr" => xml.skip()?,
                    _ => {}
                },
                Token::Close(name) if name == end => return Ok(()),
                Token::End => return Ok(()),
                _ => {}
            }
        }
    }

    /// Ends a page, its notes at its foot. Breaks inside tables and boxes do not part the document.
    pub fn page_break(&mut self, out: &mut Vec<Item>, depth: usize) {
        if depth == 0 {
            self.put_notes(out);
            out.push(Item::PageBreak);
        }
    }

    fn put_notes(&mut self, out: &mut Vec<Item>) {
        let notes = std::mem::take(&mut self.notes.pending);
        out.extend(notes.into_iter().map(|note| Item::Block(Block::new(BlockKind::Paragraph, note))));
    }

    /// The mark of a reference to a note, which is put at the end of the page.
    pub fn note_mark(&mut self, reference: &str, id: Option<String>) -> String {
        let is_endnote = reference == "endnoteReference";
        let notes = if is_endnote { &self.notes.endnotes } else { &self.notes.footnotes };
        let Some(text) = id.and_then(|id| notes.get(&id)) else { return String::new() };
        let shown = &mut self.notes.shown[usize::from(is_endnote)];
        *shown += 1;
        let mark = if is_endnote { format!("[{}]", roman(*shown)) } else { format!("[{shown}]") };
        self.notes.pending.push(format!("{mark} {text}"));
        mark
    }

    /// Adds a finished paragraph, with its mark where it belongs to a list, and its text boxes after it.
    pub fn emit(&mut self, paragraph: Paragraph, out: &mut Vec<Item>) {
        let style = paragraph.style.as_deref();
        let level = match paragraph.outline {
            Some(level) => (level < 9).then(|| (level + 1).min(6)),
            None => self.styles.heading_level(style),
        };
        let numbering = self.numbering(&paragraph);
        let mark = numbering
            .as_ref()
            .and_then(|numbering| Some(self.lists.next_mark(numbering.list?, numbering.level.unwrap_or(0))));
        if paragraph.text.trim().is_empty() {
            out.extend(paragraph.boxes);
            return;
        }
        if self.styles.is_code(style) {
            push_code(out, paragraph.text.trim_end());
            out.extend(paragraph.boxes);
            return;
        }
        let lines: Vec<String> = paragraph.text.lines().map(clean_line).filter(|line| !line.is_empty()).collect();
        let text = lines.join("\n");
        if self.title.is_none() && self.styles.is_title(style) {
            self.title = Some(lines.join(" "));
        }
        let mark = mark.filter(|mark| !mark.is_empty());
        let block = match (level, mark) {
            (Some(level), Some(mark)) if mark != "•" => {
                Block::new(BlockKind::Heading { level }, format!("{mark} {}", lines.join(" ")))
            }
            (Some(level), _) => Block::new(BlockKind::Heading { level }, lines.join(" ")),
            (None, Some(mark)) => {
                let indent = "  ".repeat(numbering.and_then(|numbering| numbering.level).unwrap_or(0).min(8));
                Block::new(BlockKind::ListItem, format!("{indent}{mark} {text}"))
            }
            (None, None) if is_list_item(&text) => Block::new(BlockKind::ListItem, text),
            (None, None) => Block::new(BlockKind::Paragraph, text),
        };
        out.push(Item::Block(block));
        out.extend(paragraph.boxes);
    }

    /// The list of a paragraph: its own or its style's; list 0 takes it out of any.
    fn numbering(&self, paragraph: &Paragraph) -> Option<Numbering> {
        let of_style = self.styles.numbering(paragraph.style.as_deref());
        let numbering = match (&paragraph.numbering, of_style) {
            (Some(own), of_style) if own.list.is_none() => {
                of_style.map(|of_style| Numbering { level: own.level.or(of_style.level), ..of_style })
            }
            (Some(own), _) => Some(own.clone()),
            (None, of_style) => of_style,
        };
        numbering.filter(|numbering| numbering.list.is_some_and(|list| list != 0))
    }
}

/// Lines of program text are paragraphs of their own in Word; here they are one block.
fn push_code(out: &mut Vec<Item>, text: &str) {
    if let Some(Item::Block(Block { kind: BlockKind::Code, text: code, .. })) = out.last_mut() {
        code.push('\n');
        code.push_str(text);
    } else {
        out.push(Item::Block(Block::new(BlockKind::Code, text)));
    }
}

/// The text of items on one line, as it stands in a table's cell or a note.
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
