//! Builds blocks from the tokens of a page.

use html5ever::LocalName;
use html5ever::tokenizer::Tag;

use super::super::clean::{clean, clean_line};
use super::super::{Block, BlockKind, ReadError};
use super::HtmlText;
use super::elements::{self, ended_by, heading_level, is_inline, is_no_text, is_void};
use super::table::{self, MAX_COLUMNS_SPANNED, MAX_ROWS_SPANNED, Table};

/// Maximum number of open elements that are remembered; those nested deeper only separate text.
const MAX_DEPTH: usize = 1_024;
/// Maximum number of tables within tables.
const MAX_TABLES: usize = 64;
/// Maximum number of levels by which a list item is indented.
const MAX_INDENT: usize = 8;

/// An open element.
struct Open {
    name: LocalName,
    /// Whether its content is left out.
    is_omitted: bool,
    /// Whether its content is left out because it is hidden, and not because it is no text.
    is_hidden: bool,
}

impl Open {
    /// Whether end tags within the element end nothing outside of it, as in a `template`.
    fn is_boundary(&self) -> bool {
        self.is_omitted && !self.is_hidden && &*self.name != "svg"
    }
}

/// Builds the blocks of a page.
pub(super) struct Builder {
    open: Vec<Open>,
    /// Number of open elements beyond [`MAX_DEPTH`].
    deeper: usize,
    /// Number of open elements whose content is left out.
    omitted: usize,
    tables: Vec<Table>,
    blocks: Vec<Block>,
    text: String,
    /// The next number of each open list, outermost first; `None` for a list without numbers.
    lists: Vec<Option<u64>>,
    /// Whether the current block is the first one of a list item.
    starts_item: bool,
    /// The levels of the open headings.
    headings: Vec<u8>,
    /// Number of open elements in which line breaks are significant.
    preformatted: usize,
    /// Number of open paragraphs.
    paragraphs: usize,
    /// Number of open tables beyond [`MAX_TABLES`].
    deeper_tables: usize,
    title: Option<String>,
    in_title: bool,
    has_hidden_text: bool,
    max_text_bytes: usize,
    /// Number of bytes of text that may still be added.
    remaining_bytes: usize,
    is_too_large: bool,
}

impl Builder {
    pub fn new(max_text_bytes: usize) -> Self {
        Self {
            open: Vec::new(),
            deeper: 0,
            omitted: 0,
            tables: Vec::new(),
            blocks: Vec::new(),
            text: String::new(),
            lists: Vec::new(),
            starts_item: false,
            headings: Vec::new(),
            preformatted: 0,
            paragraphs: 0,
            deeper_tables: 0,
            title: None,
            in_title: false,
            has_hidden_text: false,
            max_text_bytes,
            remaining_bytes: max_text_bytes,
            is_too_large: false,
        }
    }

    /// Ends the page.
    ///
    /// # Errors
    /// `TooLarge` if the text exceeded the limit, also by cells that span columns and rows.
    pub fn finish(mut self) -> Result<HtmlText, ReadError> {
        self.close_down_to(0);
        self.flush();
        while !self.tables.is_empty() {
            self.end_table();
        }
        let total: usize = self.blocks.iter().map(|block| block.text.len()).sum();
        if self.is_too_large || total > self.max_text_bytes {
            return Err(ReadError::TooLarge { what: "bytes of text", limit: self.max_text_bytes as u64 });
        }
        let title = self.title.map(|title| clean_line(&title)).filter(|title| !title.is_empty());
        Ok(HtmlText { blocks: self.blocks, title, has_hidden_text: self.has_hidden_text })
    }

    /// Handles a start tag.
    pub fn start(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if self.omitted > 0 && elements::leaves_picture(name) {
            self.leave_picture();
        }
        if let Some((ended, limits)) = ended_by(name)
            && (ended != ["p"] || self.paragraphs > 0)
        {
            self.close_implied(ended, limits);
        }
        if !is_inline(name) && !is_no_text(name) {
            self.flush();
        }
        if is_void(name) {
            if name == "br" {
                self.text.push('\n');
            }
            return;
        }
        let is_hidden = elements::is_hidden(tag);
        let is_omitted = is_hidden || is_no_text(name);
        if self.open.len() >= MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        self.open.push(Open { name: tag.name.clone(), is_omitted, is_hidden });
        self.omitted += usize::from(is_omitted);
        self.paragraphs += usize::from(name == "p");
        if self.omitted == 0 {
            self.enter(tag);
        }
    }

    /// What the start of a visible element changes.
    fn enter(&mut self, tag: &Tag) {
        match &*tag.name {
            "title" => self.in_title = self.title.is_none(),
            "ul" | "menu" => self.lists.push(None),
            "ol" => self.lists.push(Some(elements::number(tag, "start", 1..=1_000_000) as u64)),
            "li" => self.starts_item = true,
            "pre" | "xmp" | "plaintext" => self.preformatted += 1,
            "table" if self.tables.len() < MAX_TABLES => self.tables.push(Table::default()),
            "table" => self.deeper_tables += 1,
            "thead" => self.with_table(|table| table.in_head = true),
            "caption" => self.with_table(|table| table.caption_is_open = true),
            "tr" => self.with_table(|table| {
                let in_head = table.in_head;
                table.rows.push(table::Row { in_head, ..table::Row::default() });
            }),
            "td" | "th" => {
                let cell = table::Cell {
                    blocks: Vec::new(),
                    is_header: &*tag.name == "th",
                    columns_spanned: elements::number(tag, "colspan", 1..=MAX_COLUMNS_SPANNED),
                    rows_spanned: elements::number(tag, "rowspan", 1..=MAX_ROWS_SPANNED),
                };
                self.with_table(|table| {
                    if table.rows.is_empty() {
                        table.rows.push(table::Row::default());
                    }
                    if let Some(row) = table.rows.last_mut() {
                        row.cells.push(cell);
                        table.cell_is_open = true;
                    }
                });
            }
            name => self.headings.extend(heading_level(name)),
        }
    }

    fn with_table(&mut self, change: impl FnOnce(&mut Table)) {
        if let Some(table) = self.tables.last_mut() {
            change(table);
        }
    }

    /// Handles an end tag.
    pub fn end(&mut self, name: &LocalName) {
        if self.deeper > 0 {
            self.deeper -= 1;
            self.flush();
            return;
        }
        let Some(at) = self.open.iter().rposition(|open| open.name == *name || open.is_boundary()) else { return };
        if self.open[at].name != *name {
            return;
        }
        let crosses_block = is_inline(name) && self.open[at + 1..].iter().any(|open| !is_inline(&open.name));
        if crosses_block {
            let open = self.open.remove(at);
            self.omitted -= usize::from(open.is_omitted);
        } else {
            self.close_down_to(at);
        }
    }

    /// Ends an open `svg` element, which markup of the page ends also without its end tag.
    fn leave_picture(&mut self) {
        let picture = self.open.iter().rposition(|open| open.is_omitted && &*open.name == "svg");
        if let Some(at) = picture {
            self.close_down_to(at);
        }
    }

    /// Ends the innermost element of `ended` that is not outside of one of `limits`, or of an element that is left out.
    fn close_implied(&mut self, ended: &[&str], limits: &[&str]) {
        for at in (0..self.open.len()).rev() {
            let open = &self.open[at];
            if ended.contains(&&*open.name) {
                self.close_down_to(at);
                return;
            }
            if open.is_omitted || limits.contains(&&*open.name) {
                return;
            }
        }
    }

    /// Ends all elements from this position of the stack on, innermost first.
    fn close_down_to(&mut self, at: usize) {
        while self.open.len() > at {
            if self.omitted == 0 && self.open.last().is_some_and(|open| !is_inline(&open.name)) {
                self.flush();
            }
            let Some(open) = self.open.pop() else { return };
            let was_visible = self.omitted == 0;
            self.paragraphs -= usize::from(&*open.name == "p");
            self.omitted -= usize::from(open.is_omitted);
            if was_visible {
                self.leave(&open.name);
            }
        }
    }

    /// What the end of a visible element changes.
    fn leave(&mut self, name: &str) {
        match name {
            "title" => self.in_title = false,
            "ul" | "ol" | "menu" => {
                self.lists.pop();
            }
            "li" => self.starts_item = false,
            "pre" | "xmp" | "plaintext" => self.preformatted = self.preformatted.saturating_sub(1),
            "table" if self.deeper_tables > 0 => self.deeper_tables -= 1,
            "table" => self.end_table(),
            "thead" => self.with_table(|table| table.in_head = false),
            "caption" => self.with_table(|table| table.caption_is_open = false),
            "td" | "th" => self.with_table(|table| table.cell_is_open = false),
            _ if heading_level(name).is_some() => {
                self.headings.pop();
            }
            _ => {}
        }
    }

    fn end_table(&mut self) {
        if let Some(table) = self.tables.pop() {
            table.into_blocks(self.max_text_bytes).into_iter().for_each(|block| self.add(block));
        }
    }

    /// Handles a run of text between two tags.
    pub fn text(&mut self, text: &str) {
        if self.omitted > 0 {
            let is_hidden = self.open.iter().any(|open| open.is_hidden);
            let is_text = !self.open.iter().any(|open| open.is_omitted && !open.is_hidden);
            self.has_hidden_text |= is_hidden && is_text && !text.trim().is_empty();
            return;
        }
        match self.remaining_bytes.checked_sub(text.len()) {
            Some(remaining) => self.remaining_bytes = remaining,
            None => {
                self.is_too_large = true;
                return;
            }
        }
        if self.in_title {
            self.title.get_or_insert_default().push_str(text);
        } else if self.preformatted > 0 {
            self.text.push_str(text);
        } else {
            self.text.extend(text.chars().map(|c| if c == '\n' { ' ' } else { c }));
        }
    }

    /// Ends the current block.
    fn flush(&mut self) {
        if self.text.trim().is_empty() {
            self.text.clear();
            return;
        }
        let text = std::mem::take(&mut self.text);
        if self.preformatted > 0 {
            self.add(Block::new(BlockKind::Code, clean(&text).trim_matches('\n').trim_end()));
            return;
        }
        let in_cell = self.tables.last().is_some_and(|table| table.cell_is_open);
        let lines: Vec<String> = lines(&text);
        let block = match self.headings.last().copied() {
            Some(level) => Block::new(BlockKind::Heading { level }, lines.join(" ")),
            None if std::mem::take(&mut self.starts_item) && !self.lists.is_empty() => {
                let marker = self.marker();
                Block::new(BlockKind::ListItem, format!("{marker}{}", lines.join("\n")))
            }
            None if in_cell => Block::new(BlockKind::Paragraph, lines.join(" ")),
            None => Block::new(BlockKind::Paragraph, lines.join("\n")),
        };
        self.add(block);
    }

    /// The indentation and bullet or number of the current list item.
    fn marker(&mut self) -> String {
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(MAX_INDENT));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{indent}{}. ", *number - 1)
            }
            _ => format!("{indent}- "),
        }
    }

    /// Adds a block to the innermost open cell or caption, else to the page.
    fn add(&mut self, block: Block) {
        if block.text.trim().is_empty() {
            return;
        }
        for table in self.tables.iter_mut().rev() {
            if table.caption_is_open {
                table.caption.push(block);
                return;
            }
            let cell = table.rows.last_mut().and_then(|row| row.cells.last_mut());
            if let Some(cell) = cell.filter(|_| table.cell_is_open) {
                cell.blocks.push(block);
                return;
            }
        }
        self.blocks.push(block);
    }
}

/// The lines of a text: each run of white space is one space, and only `br` elements break lines.
fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(clean_line).filter(|line| !line.is_empty()).collect()
}
