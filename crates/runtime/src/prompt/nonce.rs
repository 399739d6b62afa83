//! The nonce in the names of a prompt's tags.

use std::fmt;
use uuid::Uuid;

/// Eight hexadecimal digits at the end of each tag name in the prompts of one run. Authors of documents and messages
/// cannot know them in advance, so their text cannot close a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagNonce(String);

impl TagNonce {
    /// Takes the digits from the random part of a UUIDv7 (RFC 9562 §5.7).
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        let mut digits = id.simple().to_string();
        Self(digits.split_off(24))
    }
}

impl fmt::Display for TagNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
