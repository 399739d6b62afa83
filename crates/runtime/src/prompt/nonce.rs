//! The nonce in the names of a prompt's tags.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use uuid::Uuid;

/// Eight hexadecimal digits at the end of a tag name in prompts. Authors of documents and messages cannot know those of
/// a run in advance, so their text cannot close a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagNonce(String);

impl TagNonce {
    /// Takes the digits from the random part of a UUIDv7 (RFC 9562 §5.7).
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        let mut digits = id.simple().to_string();
        Self(digits.split_off(24))
    }

    /// Derives the digits from the text between the tags, for text that is the same in many runs. Its author could find
    /// a text with its own digits, so the text must be neutralized, too.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(format!("{:08x}", hasher.finish() & 0xffff_ffff))
    }
}

impl fmt::Display for TagNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
