//! Custom privacy patterns of a tenant: regular expressions that run in linear time.

use super::BuiltInPattern;
use regex::{Regex, RegexBuilder};

/// Maximum number of patterns of one tenant.
pub const MAX_PATTERNS: usize = 32;
/// Maximum length of a pattern's name, in bytes.
pub const MAX_NAME_BYTES: usize = 32;
/// Maximum length of a pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Maximum size of a compiled pattern, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// Maximum size of the lazy DFA's cache during a search, in bytes.
const MAX_CACHE: usize = 512 * 1024;

/// Why a pattern is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CustomPatternError {
    /// The name cannot be part of the placeholders that replace matches.
    #[error(
        "the name must be 1 to {MAX_NAME_BYTES} lowercase letters, digits and underscores, beginning with a letter"
    )]
    Name,
    /// A built-in pattern has this name.
    #[error("the name is that of a built-in pattern")]
    Reserved,
    /// The pattern is empty or too long.
    #[error("the pattern must have 1 to {MAX_PATTERN_BYTES} bytes")]
    Length,
    /// The pattern does not compile.
    #[error("the pattern is not a valid regular expression (look-around and backreferences are not supported): {0}")]
    Syntax(String),
    /// The compiled pattern is too large.
    #[error("the pattern is too large once compiled; use smaller repetitions")]
    TooLarge,
    /// The pattern matches the empty string, so it would match everywhere.
    #[error("the pattern matches the empty string")]
    MatchesEmptyString,
}

impl CustomPatternError {
    /// Whether the name is invalid, rather than the pattern.
    #[must_use]
    pub const fn is_name_error(&self) -> bool {
        matches!(self, Self::Name | Self::Reserved)
    }
}

/// A compiled pattern of a tenant.
#[derive(Clone, Debug)]
pub struct CustomPattern {
    name: String,
    regex: Regex,
}

impl CustomPattern {
    /// Checks the name and compiles the pattern, within size limits.
    ///
    /// # Errors
    /// If the name or the pattern is not allowed.
    pub fn compile(name: &str, pattern: &str) -> Result<Self, CustomPatternError> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts_with_letter = name.starts_with(|char: char| char.is_ascii_lowercase());
        if name.len() > MAX_NAME_BYTES || !starts_with_letter || !name.bytes().all(is_word) {
            return Err(CustomPatternError::Name);
        }
        if name.parse::<BuiltInPattern>().is_ok() {
            return Err(CustomPatternError::Reserved);
        }
        if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
            return Err(CustomPatternError::Length);
        }
        let mut builder = RegexBuilder::new(pattern);
        let regex = builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_CACHE).nest_limit(32).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => CustomPatternError::TooLarge,
            other => CustomPatternError::Syntax(reason(&other.to_string())),
        })?;
        if regex.is_match("") {
            return Err(CustomPatternError::MatchesEmptyString);
        }
        Ok(Self { name: name.to_owned(), regex })
    }

    /// The pattern's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The compiled expression.
    #[must_use]
    pub const fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// The last line of a regex error, which says what is wrong; the lines before it repeat the pattern.
fn reason(message: &str) -> String {
    message.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_are_not_allowed_are_refused_with_a_reason() {
        let reason =
            |name: &str, pattern: &str| CustomPattern::compile(name, pattern).expect_err("refused").to_string();
        assert!(reason("Badge", "x").contains("lowercase"));
        assert!(reason("", "x").contains("lowercase"));
        assert!(reason("email", "x").contains("built-in"));
        assert!(reason("a", "").contains("1 to"));
        assert!(reason("a", &"x".repeat(513)).contains("512"));
        assert!(reason("a", "(x").contains("unclosed group"));
        assert!(reason("a", "(?=x)").contains("look-around"));
        assert!(reason("a", r"(x)\1").contains("backreferences"));
        assert!(reason("a", "x*").contains("empty"));
        assert!(reason("a", r"(\w{1000}){1000}").contains("too large"));
        assert!(CustomPattern::compile("badge_2", r"B-\d{5}").is_ok());
    }
}
