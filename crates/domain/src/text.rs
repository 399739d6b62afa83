//! Strings of bounded length, validated when they are created.

use serde::Serialize;

/// Why a text was rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// The text is empty or only white space.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than allowed.
    #[error("must be at most {max} characters long, and is {len}")]
    TooLong {
        /// Maximum number of characters.
        max: usize,
        /// Number of characters in the text.
        len: usize,
    },
    /// The text contains U+0000, which PostgreSQL cannot store.
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

/// A user's message in a chat turn.
pub type MessageText = BoundedText<32_000>;
/// A search query.
pub type QueryText = BoundedText<2_000>;
/// The title of a conversation or document.
pub type Title = BoundedText<512>;
/// A revision label, in the plant's own notation.
pub type RevisionLabel = BoundedText<64>;
/// A token issuer, or the value of a claim.
pub type ClaimText = BoundedText<255>;
/// A short text: a tag, a document type, a name.
pub type ShortText = BoundedText<128>;
/// The comment of a rating.
pub type FeedbackComment = BoundedText<2_000>;
/// The reason of a request for approval, the comment of a decision, or the reason of a plant mode.
pub type ApprovalComment = BoundedText<2_000>;
/// What a user wants of a goal.
pub type ObjectiveText = BoundedText<4_000>;
/// The text of a memory.
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
