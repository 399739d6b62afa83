//! A tenant's own patterns: regular expressions without look-around and back-references, whose time grows with the text
//! and never faster.

use super::detect::Hit;
use regex::{Regex, RegexBuilder};
use std::ops::Range;

/// How many patterns a tenant may have.
pub const MAX_PATTERNS: usize = 32;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 32;
/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 512;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// Cache of a pattern during a search, in bytes.
const MAX_CACHE: usize = 512 * 1024;
/// A search sees this many bytes at once, so that no pattern scans a long text again for each of its matches.
const WINDOW: usize = 2048;
/// What consecutive windows share, in bytes: a longer value may be missed where two meet.
const OVERLAP: usize = 512;

/// Why a pattern is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CustomPatternError {
    /// The name is not one that a placeholder can carry.
    #[error("the name must be 1 to {MAX_NAME} lowercase letters, digits and underscores, beginning with a letter")]
    Name,
    /// A built-in pattern has this name.
    #[error("the name is that of a built-in pattern")]
    Reserved,
    /// The pattern is empty or too long.
    #[error("the pattern must have 1 to {MAX_PATTERN} bytes")]
    Length,
    /// The pattern does not compile; the reason names the place.
    #[error("the pattern is not a regular expression that runs in linear time: {0}")]
    Syntax(String),
    /// The compiled pattern is too large.
    #[error("the pattern is too large once compiled; use smaller repetitions")]
    TooLarge,
    /// The pattern matches nothing at all, and so would match everywhere.
    #[error("the pattern matches the empty text")]
    Empty,
}

/// A compiled pattern of a tenant.
#[derive(Clone, Debug)]
pub struct CustomPattern {
    name: String,
    regex: Regex,
}

impl CustomPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If the name or the pattern is not allowed.
    pub fn compile(name: &str, pattern: &str) -> Result<Self, CustomPatternError> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.len() > MAX_NAME
            || !name.starts_with(|char: char| char.is_ascii_lowercase())
            || !name.bytes().all(is_word)
        {
            return Err(CustomPatternError::Name);
        }
        if super::BuiltIn::named(name).is_some() {
            return Err(CustomPatternError::Reserved);
        }
        if pattern.is_empty() || pattern.len() > MAX_PATTERN {
            return Err(CustomPatternError::Length);
        }
        let regex =
            RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_CACHE).nest_limit(32).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => CustomPatternError::TooLarge,
            other => CustomPatternError::Syntax(reason(&other.to_string())),
        })?;
        if regex.is_match("") {
            return Err(CustomPatternError::Empty);
        }
        Ok(Self { name: name.to_owned(), regex })
    }

    /// The pattern's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn find(&self, text: &str) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = floor(text, start + WINDOW);
            self.find_within(text, start..end, &mut hits);
            if end == text.len() {
                break;
            }
            let found = hits.last().map_or(start, |hit| hit.range.end);
            start = found.max(floor(text, end - OVERLAP));
        }
        hits
    }

    fn find_within(&self, text: &str, window: Range<usize>, hits: &mut Vec<Hit>) {
        let mut at = window.start;
        while let Some(found) = self.regex.find_at(&text[..window.end], at) {
            let is_cut = found.end() == window.end && window.end < text.len() && found.start() > window.end - OVERLAP;
            if is_cut {
                return;
            }
            if !found.is_empty() {
                hits.push(Hit { range: found.range(), canonical: found.as_str().to_owned() });
            }
            at = if found.is_empty() { ceil(text, found.end() + 1) } else { found.end() };
            if at >= window.end {
                return;
            }
        }
    }
}

/// The last line of the message, which says what is wrong; those before it repeat the pattern.
fn reason(message: &str) -> String {
    message.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
