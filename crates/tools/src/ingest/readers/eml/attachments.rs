//! Reads the attachments of a message with the readers of their formats.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::super::clean::clean_line;
use super::super::{Block, BlockKind, Format, Limits, Page, ParsedDocument, ReadError, Warning, read, sniff};
use super::message::{Collector, MAX_ATTACHMENTS, MAX_DEPTH};

/// Maximum length of a file name in a heading, in characters.
const MAX_NAME_CHARS: usize = 100;

impl Collector<'_> {
    /// Adds an attachment; one that cannot be read is counted.
    ///
    /// # Errors
    /// `TooLarge` if the text of a message within the message exceeds the limit.
    pub fn add_attachment(&mut self, part: &MessagePart<'_>) -> Result<(), ReadError> {
        if is_picture_of_body(part) {
            return Ok(());
        }
        self.attachments += 1;
        if self.attachments > MAX_ATTACHMENTS {
            self.unread += 1;
            return Ok(());
        }
        let name = attachment_name(part);
        if let PartType::Message(message) = &part.body {
            return self.add_nested(&name, message);
        }
        let bytes = part.contents();
        match sniff(bytes, &name) {
            Some(Format::Email) => match MessageParser::default().parse(bytes) {
                Some(message) => self.add_nested(&name, &message),
                None => {
                    self.unread += 1;
                    Ok(())
                }
            },
            Some(format) => {
                match read(format, bytes, &name, &self.attachment_limits()) {
                    Ok(document) => self.add_document(&name, document),
                    Err(_) => self.unread += 1,
                }
                Ok(())
            }
            None => {
                self.unread += 1;
                Ok(())
            }
        }
    }

    /// Adds a message within the message, unless it is nested too deeply.
    fn add_nested(&mut self, name: &str, message: &Message<'_>) -> Result<(), ReadError> {
        if self.attached_in.len() >= MAX_DEPTH as usize {
            self.unread += 1;
            return Ok(());
        }
        self.attached_in.push(name.to_owned());
        let added = self.add_message(message);
        self.attached_in.pop();
        added
    }

    /// What an attachment may still take of the limits. Images are not recognized, and what may be unpacked is shared.
    fn attachment_limits(&self) -> Limits {
        let limits = self.limits;
        let pages = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        Limits {
            max_pages: limits.max_pages.saturating_sub(pages),
            max_text_bytes: limits.max_text_bytes.saturating_sub(self.text_bytes),
            max_inflated_bytes: limits.max_inflated_bytes / u64::from(MAX_ATTACHMENTS / 5),
            scans: None,
            ..limits.clone()
        }
    }

    /// Adds the pages of an attachment below a heading with its name. They have no numbers, because those of the file
    /// in the message are not places in the message; the heading names them.
    fn add_document(&mut self, name: &str, document: ParsedDocument) {
        let shown: String = name.chars().take(MAX_NAME_CHARS).collect();
        let mut last_place = None;
        for page in document.pages {
            let Page { number, label, mut blocks, .. } = page;
            let is_sheet = blocks.iter().any(|block| block.sheet_row.is_some());
            let place = match number.filter(|_| !is_sheet) {
                Some(number) => format!("Attachment '{shown}', page {number}"),
                None => format!("Attachment '{shown}'"),
            };
            self.demote_headings(&mut blocks);
            if last_place.as_ref() != Some(&place) {
                blocks.insert(0, self.heading(2, &place));
                last_place = Some(place);
            }
            let label = label.filter(|_| is_sheet);
            if self.add_page(Page { label, blocks, ..Page::default() }).is_err() {
                self.unread += 1;
                return;
            }
        }
        self.add_warnings(document.warnings);
    }

    /// Puts the headings of an attachment below the one with its name.
    fn demote_headings(&self, blocks: &mut [Block]) {
        for block in blocks {
            if let BlockKind::Heading { level } = block.kind {
                block.kind = self.heading(level.saturating_add(2), "").kind;
            }
        }
    }

    /// Adds the warnings of an attachment. Their page numbers would be taken for those of the message.
    fn add_warnings(&mut self, warnings: Vec<Warning>) {
        for warning in warnings {
            match warning {
                Warning::HiddenText { .. } | Warning::HiddenSheets { .. } => self.has_hidden_text = true,
                Warning::NeedsOcr { .. } | Warning::DamagedPages { .. } => self.unread += 1,
                Warning::OcrLayer { .. } | Warning::Recognized { .. } | Warning::LowConfidence { .. } => {}
                Warning::UnreadAttachments { count } => self.unread = self.unread.saturating_add(count),
                other if self.warnings.contains(&other) => {}
                other => self.warnings.push(other),
            }
        }
    }
}

/// Whether a part is an image that the body shows, such as a logo.
fn is_picture_of_body(part: &MessagePart<'_>) -> bool {
    let is_image = part.content_type().is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("image"));
    is_image && (part.content_id().is_some() || matches!(part.body, PartType::InlineBinary(_)))
}

/// The name of an attachment on one line; a message without a file name has its subject.
fn attachment_name(part: &MessagePart<'_>) -> String {
    let subject = || match &part.body {
        PartType::Message(message) => message.subject(),
        _ => None,
    };
    let name = part.attachment_name().or_else(subject).map(clean_line).unwrap_or_default();
    if name.is_empty() { "attachment".to_owned() } else { name }
}
