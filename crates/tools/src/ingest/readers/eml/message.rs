//! Collects the text of a message, and of the messages within it.

use mail_parser::{Address, Message, MessagePart, MimeHeaders as _, PartType};

use super::super::clean::{clean, clean_line};
use super::super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Warning, html, text};

/// Maximum number of attachments that are read, those of messages within the message included.
pub(super) const MAX_ATTACHMENTS: u32 = 50;
/// Maximum depth of messages within messages that are read.
pub(super) const MAX_DEPTH: u32 = 3;
/// Maximum number of addresses and attachments that the header lists.
const MAX_LISTED: usize = 30;

/// The text collected so far.
pub(super) struct Collector<'a> {
    pub limits: &'a Limits,
    pub pages: Vec<Page>,
    pub text_bytes: usize,
    title: Option<String>,
    /// The attachments around the current message, outermost first.
    pub attached_in: Vec<String>,
    /// Number of attachments seen.
    pub attachments: u32,
    /// Number of attachments that were left out.
    pub unread: u32,
    pub has_hidden_text: bool,
    /// Warnings of attachments that hold for a whole file.
    pub warnings: Vec<Warning>,
}

impl<'a> Collector<'a> {
    pub fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            pages: Vec::new(),
            text_bytes: 0,
            title: None,
            attached_in: Vec::new(),
            attachments: 0,
            unread: 0,
            has_hidden_text: false,
            warnings: Vec::new(),
        }
    }

    pub fn finish(self) -> ParsedDocument {
        let mut warnings = self.warnings;
        if self.has_hidden_text {
            warnings.push(Warning::HiddenText { pages: Vec::new() });
        }
        if self.unread > 0 {
            warnings.push(Warning::UnreadAttachments { count: self.unread });
        }
        warnings.dedup();
        ParsedDocument { title: self.title, pages: self.pages, warnings, ..ParsedDocument::default() }
    }

    /// Adds a message with its attachments.
    ///
    /// # Errors
    /// `TooLarge` if the text of the message exceeds the limit. An attachment that cannot be read is only counted.
    pub fn add_message(&mut self, message: &Message<'_>) -> Result<(), ReadError> {
        let subject = message.subject().map(clean_line).filter(|subject| !subject.is_empty());
        if self.attached_in.is_empty() {
            self.title.clone_from(&subject);
        }
        let heading = subject.unwrap_or_else(|| "Message".to_owned());
        let mut blocks = vec![self.heading(1, &heading)];
        blocks.extend(header_block(message));
        for part in message.html_bodies() {
            blocks.extend(self.body_blocks(part)?);
        }
        self.add_page(Page { blocks, ..Page::default() })?;
        for part in message.attachments() {
            self.add_attachment(part)?;
        }
        Ok(())
    }

    /// A heading within the current attachment, of which each level adds one to the heading's.
    pub fn heading(&self, level: u8, text: &str) -> Block {
        let depth = u8::try_from(self.attached_in.len()).unwrap_or(u8::MAX);
        Block::new(BlockKind::Heading { level: level.saturating_add(depth).min(6) }, text)
    }

    /// Adds a page, and counts its text.
    ///
    /// # Errors
    /// `TooLarge` if the text exceeds the limit.
    pub fn add_page(&mut self, page: Page) -> Result<(), ReadError> {
        self.text_bytes += page.blocks.iter().map(|block| block.text.len()).sum::<usize>();
        if self.text_bytes > self.limits.max_text_bytes {
            let limit = self.limits.max_text_bytes as u64;
            return Err(ReadError::TooLarge { what: "bytes of text", limit });
        }
        self.pages.push(page);
        Ok(())
    }

    /// The blocks of a displayed part. Where a message has HTML and plain text, the HTML is displayed.
    fn body_blocks(&mut self, part: &MessagePart<'_>) -> Result<Vec<Block>, ReadError> {
        let mut blocks = match &part.body {
            PartType::Html(source) => {
                let parsed = html::parse(source, self.limits)?;
                self.has_hidden_text |= parsed.has_hidden_text;
                parsed.blocks
            }
            PartType::Text(source) => {
                let lines = source.replace("\r\n", "\n");
                text::blocks(&clean(&lines))
            }
            _ => Vec::new(),
        };
        for block in &mut blocks {
            if let BlockKind::Heading { level } = block.kind {
                *block = self.heading(level.saturating_add(1), &block.text);
            }
        }
        Ok(blocks)
    }
}

/// From, to, date and the names of the attachments, as text.
fn header_block(message: &Message<'_>) -> Option<Block> {
    let mut lines = Vec::new();
    for (name, address) in [("From", message.from()), ("To", message.to()), ("Cc", message.cc())] {
        let addresses = address.map(addresses).unwrap_or_default();
        if !addresses.is_empty() {
            lines.push(format!("{name}: {addresses}"));
        }
    }
    if let Some(date) = message.date() {
        let (day, time) = (format!("{:04}-{:02}-{:02}", date.year, date.month, date.day), (date.hour, date.minute));
        lines.push(format!("Date: {day} {:02}:{:02}", time.0, time.1));
    }
    let names: Vec<String> =
        message.attachments().filter_map(|part| part.attachment_name()).take(MAX_LISTED).map(clean_line).collect();
    if !names.is_empty() {
        lines.push(format!("Attachments: {}", names.join(", ")));
    }
    (!lines.is_empty()).then(|| Block::new(BlockKind::Paragraph, lines.join("\n")))
}

/// The addresses of a header field as `Name <address>`.
fn addresses(address: &Address<'_>) -> String {
    let one = |(name, address): (Option<&str>, Option<&str>)| match (name, address) {
        (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address).map(str::to_owned),
    };
    let listed = address.iter().take(MAX_LISTED).filter_map(|addr| one((addr.name(), addr.address())));
    clean_line(&listed.collect::<Vec<_>>().join(", "))
}
