//! Searches for a tenant's custom patterns in overlapping windows of the text. Without windows, a regular expression
//! that looks far ahead for each short match would scan a long text again and again.

use super::detect::FoldedMatch;
use domain::privacy::CustomPattern;
use std::ops::Range;

/// Length of a window, in bytes.
const WINDOW: usize = 2048;
/// Length of the overlap of two consecutive windows, in bytes. A longer value may be missed.
const OVERLAP: usize = 512;

/// The values that `pattern` finds in `text`.
pub(super) fn find(pattern: &CustomPattern, text: &str) -> Vec<FoldedMatch> {
    let mut matches: Vec<FoldedMatch> = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = floor_char_boundary(text, start + WINDOW);
        find_within(pattern, text, start..end, &mut matches);
        if end == text.len() {
            break;
        }
        let last_end = matches.last().map_or(start, |folded_match| folded_match.range.end);
        start = last_end.max(floor_char_boundary(text, end - OVERLAP));
    }
    matches
}

fn find_within(pattern: &CustomPattern, text: &str, window: Range<usize>, matches: &mut Vec<FoldedMatch>) {
    let mut at = window.start;
    while let Some(found) = pattern.regex().find_at(&text[..window.end], at) {
        let may_be_truncated =
            found.end() == window.end && window.end < text.len() && found.start() > window.end - OVERLAP;
        if may_be_truncated {
            return;
        }
        if !found.is_empty() {
            matches.push(FoldedMatch { range: found.range(), canonical: found.as_str().to_owned() });
        }
        at = if found.is_empty() { ceil_char_boundary(text, found.end() + 1) } else { found.end() };
        if at >= window.end {
            return;
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
