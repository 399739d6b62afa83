//! Searches for a tenant's custom patterns in overlapping windows of the text. Without windows, a regular expression
//! that looks far ahead for each short match would scan a long text again and again.

use super::detect::Hit;
use domain::privacy::CustomPattern;
use std::ops::Range;

/// Length of a window, in bytes.
const WINDOW: usize = 2048;
/// Length of the overlap of two consecutive windows, in bytes. A longer value may be missed.
const OVERLAP: usize = 512;

/// The values that `pattern` finds in `text`.
pub(super) fn find(pattern: &CustomPattern, text: &str) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = floor_char_boundary(text, start + WINDOW);
        find_within(pattern, text, start..end, &mut hits);
        if end == text.len() {
            break;
        }
        let last_hit_end = hits.last().map_or(start, |hit| hit.range.end);
        start = last_hit_end.max(floor_char_boundary(text, end - OVERLAP));
    }
    hits
}

fn find_within(pattern: &CustomPattern, text: &str, window: Range<usize>, hits: &mut Vec<Hit>) {
    let mut at = window.start;
    while let Some(found) = pattern.regex().find_at(&text[..window.end], at) {
        let may_be_truncated =
            found.end() == window.end && window.end < text.len() && found.start() > window.end - OVERLAP;
        if may_be_truncated {
            return;
        }
        if !found.is_empty() {
            hits.push(Hit { range: found.range(), canonical: found.as_str().to_owned() });
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
