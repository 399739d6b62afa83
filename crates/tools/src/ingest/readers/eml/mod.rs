//! Reads e-mail messages (EML): header, displayed body, and the attachments whose types are supported.

mod attachments;
mod message;

use mail_parser::MessageParser;

use super::reader::Reader;
use super::{Limits, ParsedDocument, ReadError};
use message::Collector;

/// Maximum number of messages within messages; more would exhaust the stack when they are freed.
const MAX_NESTED_MARKERS: usize = 1_000;
/// What a message within a message cannot do without, in lower case: `message/rfc822`, `message/global` and
/// `multipart/digest`.
const NESTED_MARKERS: [&[u8]; 3] = [b"rfc822", b"global", b"digest"];

/// Reads EML files.
pub(super) struct EmlReader;

impl Reader for EmlReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        if nested_markers(bytes) > MAX_NESTED_MARKERS {
            return Err(ReadError::TooLarge { what: "messages within messages", limit: MAX_NESTED_MARKERS as u64 });
        }
        let parsed = MessageParser::default().parse(bytes);
        let message = parsed.ok_or_else(|| ReadError::corrupt("it has no header"))?;
        let mut collector = Collector::new(limits);
        collector.add_message(&message)?;
        Ok(collector.finish())
    }
}

fn nested_markers(bytes: &[u8]) -> usize {
    bytes.windows(NESTED_MARKERS[0].len()).filter(|window| is_marker(window)).count()
}

fn is_marker(window: &[u8]) -> bool {
    NESTED_MARKERS.iter().any(|marker| window.eq_ignore_ascii_case(marker))
}

#[cfg(test)]
mod tests;
