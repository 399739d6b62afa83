//! The text that patterns are matched against: look-alike characters are folded to ASCII, invisible ones are removed,
//! and each found value and each placeholder is one [`BARRIER`]. Findings are mapped back to the original text.

use std::ops::Range;

/// Replaces a placeholder, or a value that was already found. No pattern matches it or looks past it.
pub(crate) const BARRIER: char = '\u{1}';

/// The zeros of the decimal digits of other scripts; in each script, the ten digits are consecutive code points.
const DIGIT_ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
    0x0F20, 0x1040, 0x17E0, 0x1810, 0xA620, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6,
];

/// A text with its characters folded.
#[derive(Debug)]
pub(crate) struct FoldedText {
    /// The folded text.
    pub(crate) text: String,
    /// For each byte of the folded text, the range of the original character; empty if the two texts are the same.
    origins: Vec<Origin>,
}

/// Where a folded byte comes from.
#[derive(Clone, Copy, Debug)]
struct Origin {
    start: usize,
    end: usize,
}

impl FoldedText {
    /// Folds `text`; each of the `hidden` ranges, which are in order and do not overlap, becomes one [`BARRIER`].
    pub(crate) fn new(text: &str, hidden: &[Range<usize>]) -> Self {
        if hidden.is_empty() && text.bytes().all(|byte| byte.is_ascii() && byte != 1) {
            return Self { text: text.to_owned(), origins: Vec::new() };
        }
        let mut folded = Self { text: String::with_capacity(text.len()), origins: Vec::with_capacity(text.len()) };
        let mut at = 0;
        for range in hidden {
            folded.append(text, at..range.start);
            folded.push(BARRIER, Origin { start: range.start, end: range.end });
            at = range.end;
        }
        folded.append(text, at..text.len());
        folded
    }

    fn append(&mut self, text: &str, range: Range<usize>) {
        let offset = range.start;
        for (at, char) in text[range].char_indices() {
            if let Some(folded) = fold(char) {
                self.push(folded, Origin { start: offset + at, end: offset + at + char.len_utf8() });
            }
        }
    }

    fn push(&mut self, char: char, origin: Origin) {
        self.text.push(char);
        self.origins.resize(self.text.len(), origin);
    }

    /// Maps a range of the folded text to the range of the original text.
    pub(crate) fn original_range(&self, range: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.origins.get(range.start), self.origins.get(range.end.saturating_sub(1)));
        match (first, last) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => range.clone(),
        }
    }
}

/// Folds a character. Returns `None` for an invisible one.
fn fold(char: char) -> Option<char> {
    if char.is_ascii() && char != BARRIER {
        return Some(char);
    }
    Some(match char {
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => {
            return None;
        }
        '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{FE00}'..='\u{FE0F}' => return None,
        BARRIER | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => '-',
        '\u{2024}' | '\u{3002}' | '\u{FE52}' | '\u{FF61}' => '.',
        '\u{FE6B}' => '@',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(char) - 0xFEE0).unwrap_or(char),
        _ => to_ascii_digit(char).unwrap_or(char),
    })
}

fn to_ascii_digit(char: char) -> Option<char> {
    let code = u32::from(char);
    let zero = DIGIT_ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_folded_and_map_back_to_the_original_text() {
        let text = "tel ０６\u{200b}２１\u{a0}x";
        let folded = FoldedText::new(text, &[]);
        assert_eq!(folded.text, "tel 0621 x");
        assert_eq!(&text[folded.original_range(&(4..8))], "０６\u{200b}２１");
        assert_eq!(folded.original_range(&(0..folded.text.len())), 0..text.len());
    }

    #[test]
    fn hidden_ranges_become_one_barrier_each() {
        let folded = FoldedText::new("a secret b", std::slice::from_ref(&(2..8)));
        assert_eq!(folded.text, "a \u{1} b");
        assert_eq!(folded.original_range(&(4..5)), 9..10);
        assert_eq!(FoldedText::new("\u{1}", &[]).text, " ");
    }
}
