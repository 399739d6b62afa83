//! Bounded texts: parsed once at the edge, trusted inside.

use serde::Serialize;

/// Why a text was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must be at most {max} characters long, and is {len}")]
    TooLong {
        /// Maximum number of characters.
        max: usize,
        /// Number of characters in the text.
        len: usize,
    },
    /// U+0000, which PostgreSQL cannot store.
    #[error("must not contain U+0000")]
    Nul,
}

/// Non-empty text of at most `MAX` characters, without U+0000, trimmed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct BoundedText<const MAX: usize>(String);

impl<const MAX: usize> BoundedText<MAX> {
    /// Trims `text` and checks its length.
    ///
    /// # Errors
    /// If the text is empty, too long or contains U+0000.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(TextError::Empty);
        }
        if trimmed.contains('\0') {
            return Err(TextError::Nul);
        }
        let len = trimmed.chars().count();
        if len > MAX {
            return Err(TextError::TooLong { max: MAX, len });
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The text, trimmed and within bounds.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a `String`.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// What a user says in one turn.
pub type MessageText = BoundedText<32_000>;
/// What a user searches for.
pub type QueryText = BoundedText<2_000>;
/// A conversation's or document's title.
pub type Title = BoundedText<512>;
/// A revision of a document, as the plant counts.
pub type RevisionLabel = BoundedText<64>;
/// An issuer, or the value of a claim.
pub type ClaimText = BoundedText<255>;
/// A tag or a document type.
pub type Label = BoundedText<128>;
/// What is to be remembered.
pub type MemoryText = BoundedText<4_000>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded_in_characters() {
        assert_eq!(BoundedText::<3>::parse(" äöü ").map(BoundedText::into_string), Ok("äöü".into()));
        assert_eq!(BoundedText::<3>::parse("abcd"), Err(TextError::TooLong { max: 3, len: 4 }));
        assert_eq!(BoundedText::<3>::parse(" \n"), Err(TextError::Empty));
        assert_eq!(BoundedText::<3>::parse("a\0"), Err(TextError::Nul));
    }
}
