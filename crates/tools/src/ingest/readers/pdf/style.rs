//! The typographic style of a document: the size of its body text, and which font sizes and titles are headings.

use std::collections::{HashMap, HashSet};

use super::super::text::is_caption;
use super::contents_entry::is_contents_entry;
use super::layout::FlowItem;
use super::lines::Line;

/// Minimum size of a heading, as a multiple of the size of body text.
const HEADING_FACTOR: f32 = 1.15;
/// Maximum length of a heading, in bytes.
const MAX_HEADING_BYTES: usize = 200;

/// The typographic style of a whole document.
#[derive(Debug, Default)]
pub(super) struct Style {
    body_size: f32,
    /// Whether body text is in a fixed-pitch font; such a font then does not indicate code.
    pub body_is_fixed_pitch: bool,
    /// Font sizes of headings in points, largest first.
    heading_sizes: Vec<f32>,
    /// Level of each title in the outline, keyed by the letters and digits of the title.
    outline: HashMap<String, u8>,
}

impl Style {
    /// Derives the style from all lines of a document and from its outline (title and level; level 1 is the outermost).
    pub fn derive<'a>(flow: impl Iterator<Item = &'a FlowItem>, outline: Vec<(String, u8)>) -> Self {
        let mut length_by_size: HashMap<i32, usize> = HashMap::new();
        let (mut fixed_pitch, mut total_length) = (0, 0);
        let mut add = |size: f32, length: usize| *length_by_size.entry(half_points(size)).or_default() += length;
        let mut text_sizes: HashSet<i32> = HashSet::new();
        for item in flow {
            let FlowItem::Line(line) = item else { continue };
            let length: usize = line.cells.iter().map(|cell| cell.text.len()).sum();
            add(line.size, length);
            total_length += length;
            fixed_pitch += if line.fixed_pitch { length } else { 0 };
            if line.cells.iter().flat_map(|cell| cell.text.chars()).filter(|c| c.is_alphabetic()).count() >= 3 {
                text_sizes.insert(half_points(line.size));
            }
        }
        let body =
            length_by_size.into_iter().max_by_key(|(size, length)| (*length, -*size)).map_or(0, |(size, _)| size);
        let body_size = body as f32 / 2.0;
        let mut sizes: Vec<f32> = text_sizes
            .into_iter()
            .map(|size| size as f32 / 2.0)
            .filter(|size| *size >= HEADING_FACTOR * body_size)
            .collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        sizes.dedup_by(|smaller, larger| *larger - *smaller <= 0.5);
        Self {
            body_size,
            body_is_fixed_pitch: fixed_pitch * 2 > total_length,
            heading_sizes: sizes,
            outline: levels_by_title(outline),
        }
    }

    /// The heading level of a paragraph, 1 to 6; `None` if it is not a heading.
    pub fn heading_level(&self, text: &str, lines: &[Line]) -> Option<u8> {
        let first = lines.first()?;
        if text.len() > MAX_HEADING_BYTES
            || lines.len() > 4
            || !text.chars().any(char::is_alphabetic)
            || is_contents_entry(text)
            || is_caption(text)
        {
            return None;
        }
        if let Some(level) = self.outline_level(text) {
            return Some(level);
        }
        let numbered =
            super::super::text::section_number_level(text).filter(|level| *level > 1 || !text.ends_with('.'));
        if first.size >= HEADING_FACTOR * self.body_size && !is_list_like(text) {
            let rank =
                self.heading_sizes.iter().position(|size| first.size >= size - 0.5).unwrap_or(self.heading_sizes.len());
            return Some(numbered.unwrap_or(rank as u8 + 1).clamp(1, 6));
        }
        let is_short = lines.len() <= 2 && text.len() <= 120 && !text.ends_with(['.', ',', ';', ':']);
        let lowest_level = || (self.heading_sizes.len() as u8 + 1).clamp(2, 6);
        if is_short && first.bold && first.size >= 0.9 * self.body_size && !is_list_like(text) {
            return Some(numbered.unwrap_or_else(lowest_level).clamp(1, 6));
        }
        // A line in the size of body text is a heading only if its section number has several parts, as in `4.2
        // Start-up`.
        numbered
            .filter(|level| is_short && *level > 1 && lines.len() == 1 && text.len() <= 80 && first.cells.len() == 1)
    }

    fn outline_level(&self, text: &str) -> Option<u8> {
        let level = |text: &str| self.outline.get(&normalize_title(text)).copied();
        level(text).or_else(|| without_number(text).and_then(level))
    }
}

/// Maps each title of the outline, with and without its section number, to its level. If a title occurs several times,
/// its first level is used.
fn levels_by_title(outline: Vec<(String, u8)>) -> HashMap<String, u8> {
    let mut levels = HashMap::new();
    for (title, level) in outline {
        for form in [Some(title.as_str()), without_number(&title)].into_iter().flatten() {
            let title_key = normalize_title(form);
            if title_key.chars().any(char::is_alphabetic) {
                levels.entry(title_key).or_insert(level);
            }
        }
    }
    levels
}

/// The title without its section number; `None` if it has no section number.
fn without_number(title: &str) -> Option<&str> {
    let (number, rest) = title.split_once(' ')?;
    number.ends_with(|c: char| c.is_ascii_digit() || c == '.').then_some(rest)
}

/// A font size in half points, rounded, as a key for grouping.
fn half_points(size: f32) -> i32 {
    (size * 2.0).round() as i32
}

/// Whether text starts with a bullet, or has fewer than three letters, as a large figure or formula has.
fn is_list_like(text: &str) -> bool {
    text.starts_with(['•', '▪', '–', '●', '◦']) || text.chars().filter(|c| c.is_alphabetic()).count() < 3
}

/// The letters and digits of a title in lower case, so that titles compare equal regardless of spacing and punctuation.
fn normalize_title(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines::Cell;
    use super::*;

    fn line(text: &str, size: f32, bold: bool) -> Line {
        let cells = vec![Cell { text: text.into(), left: 0.0, right: 100.0 }];
        Line { cells, left: 0.0, right: 100.0, baseline: 0.0, size, bold, fixed_pitch: false }
    }

    fn style() -> Style {
        let body = line("Running text that is by far the most of the document, as it always is.", 10.0, false);
        let flow = [body, line("Pump manual", 24.0, true), line("Start-up", 14.0, true)].map(FlowItem::Line);
        Style::derive(flow.iter(), vec![("3 Seals & gaskets".into(), 2)])
    }

    fn level(text: &str, size: f32, bold: bool) -> Option<u8> {
        style().heading_level(text, &[line(text, size, bold)])
    }

    #[test]
    fn larger_text_is_a_heading_with_a_level_by_size() {
        assert_eq!(level("Pump manual", 24.0, true), Some(1));
        assert_eq!(level("Shut-down", 14.0, false), Some(2));
        assert_eq!(level("Plain words", 10.0, false), None);
    }

    #[test]
    fn section_numbers_and_the_outline_override_the_size() {
        assert_eq!(level("2.1.4 Priming", 14.0, false), Some(3));
        assert_eq!(level("Seals & gaskets", 10.0, false), Some(2));
        assert_eq!(level("2.1 Priming the pump", 10.0, false), Some(2));
    }

    #[test]
    fn bold_lines_are_headings_unless_they_are_sentences() {
        assert_eq!(level("Warnings", 10.0, true), Some(3));
        assert_eq!(level("Never open the valve.", 10.0, true), None);
    }
}
