//! Replaces the placeholders in a model's answer with the values.

use super::placeholder::{Placeholders, is_word_byte};
use std::sync::Arc;

/// Restores a stream of text. It buffers only text that may be the beginning of a placeholder.
#[derive(Debug)]
pub struct Restorer {
    placeholders: Arc<Placeholders>,
    buffer: String,
    /// Whether the output so far ends within a word, so that the next character does not begin one.
    ends_in_word: bool,
    encoding: Encoding,
}

/// How restored values are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Unchanged, in plain text.
    Plain,
    /// Escaped, inside a JSON string.
    Json,
}

impl Restorer {
    /// Creates a restorer for one stream of text.
    #[must_use]
    pub const fn new(placeholders: Arc<Placeholders>, encoding: Encoding) -> Self {
        Self { placeholders, buffer: String::new(), ends_in_word: false, encoding }
    }

    /// Adds the next piece. Returns the text that is ready.
    pub fn push(&mut self, piece: &str) -> String {
        if self.placeholders.is_empty() {
            return piece.to_owned();
        }
        self.buffer.push_str(piece);
        self.release(false)
    }

    /// Ends the stream. Returns the text that is still buffered.
    pub fn finish(&mut self) -> String {
        self.release(true)
    }

    fn release(&mut self, is_end: bool) -> String {
        let text = std::mem::take(&mut self.buffer);
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < bytes.len() {
            let bracket = usize::from(bytes[at] == b'[');
            let start = at + bracket;
            let length = bytes[start..].iter().take_while(|byte| is_word_byte(**byte)).count();
            let (word, end) = (&text[start..start + length], start + length);
            if !is_end
                && end == bytes.len()
                && (bracket == 1 || !self.ends_in_word)
                && self.placeholders.has_placeholder_with_prefix(word)
            {
                break;
            }
            let may_begin_placeholder = bracket == 1 || !self.ends_in_word;
            at = match self.placeholders.value(word).filter(|_| may_begin_placeholder && length > 0) {
                Some(value) => {
                    let is_closed = bracket == 1 && bytes.get(end) == Some(&b']');
                    out.push_str(&text[at..if is_closed { at } else { start }]);
                    self.write(&mut out, value);
                    end + usize::from(is_closed)
                }
                None => {
                    let next = end.max(start);
                    let next = if next > at { next } else { at + text[at..].chars().next().map_or(1, char::len_utf8) };
                    out.push_str(&text[at..next]);
                    next
                }
            };
            self.ends_in_word = at > 0 && is_word_byte(bytes[at - 1]);
        }
        text[at..].clone_into(&mut self.buffer);
        out
    }

    fn write(&self, out: &mut String, value: &str) {
        match self.encoding {
            Encoding::Plain => out.push_str(value),
            Encoding::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value));
            }
        }
    }
}

/// Restores a whole text.
#[must_use]
pub fn restore(placeholders: &Arc<Placeholders>, text: &str, encoding: Encoding) -> String {
    let mut restorer = Restorer::new(Arc::clone(placeholders), encoding);
    let mut restored = restorer.push(text);
    restored.push_str(&restorer.finish());
    restored
}
