//! The text around a possible match.

use super::super::folded::BARRIER;
use regex::Regex;

/// Returns the text before `at`: at most `limit` bytes, and nothing before the last value that was already found.
pub(super) fn text_before(text: &str, at: usize, limit: usize) -> &str {
    let mut start = at.saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let window = &text[start..at];
    window.rfind(BARRIER).map_or(window, |barrier| &window[barrier + BARRIER.len_utf8()..])
}

/// Returns the text from `at` on: at most `limit` bytes, up to the next value that was already found.
pub(super) fn text_after(text: &str, at: usize, limit: usize) -> &str {
    let mut end = text.len().min(at + limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let window = &text[at..end];
    window.find(BARRIER).map_or(window, |barrier| &window[..barrier])
}

/// Returns the end of the last match of `words` in `window`.
pub(super) fn last_match_end(words: &Regex, window: &str) -> Option<usize> {
    words.find_iter(window).last().map(|found| found.end())
}

/// Whether there is a letter or digit directly before `at`.
pub(super) fn follows_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(char::is_alphanumeric)
}

/// Whether there is a letter or digit directly at `at`.
pub(super) fn precedes_word(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(char::is_alphanumeric)
}
