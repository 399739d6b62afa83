//! Groups glyphs into words: text without gaps, with its position on the page.

use super::super::clean::push_normalized_char;
use super::accents::{AccentComposer, Composition};
use super::bidi;
use super::placement::{Direction, Placement};

/// A word, in the upright coordinate system of its direction; lengths in points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub text: String,
    /// Start of the word along the line.
    pub left: f32,
    /// End of the word along the line.
    pub right: f32,
    /// Vertical position of the baseline; larger values are further down.
    pub baseline: f32,
    /// Font size, in points.
    pub size: f32,
    pub bold: bool,
    pub fixed_pitch: bool,
    pub direction: Direction,
    /// Whether a space character precedes the word.
    pub space_before: bool,
}

impl Word {
    pub fn top(&self) -> f32 {
        self.baseline - 0.8 * self.size
    }

    pub fn bottom(&self) -> f32 {
        self.baseline + 0.2 * self.size
    }

    pub fn middle(&self) -> f32 {
        (self.left + self.right) / 2.0
    }
}

/// Minimum gap between words, as a fraction of the font size. Kerning stays below it, and a space is two to three times
/// as wide; poppler uses the same value.
pub(super) const MIN_WORD_GAP: f32 = 0.1;

/// Groups glyphs into words.
#[derive(Default)]
pub(super) struct WordBuilder {
    pub words: Vec<Word>,
    current: Option<Word>,
    space_before: bool,
    accents: AccentComposer,
}

impl WordBuilder {
    /// Adds a glyph. White space ends the current word; an accent is held back until its letter follows.
    pub fn push(&mut self, text: &str, placement: Placement) {
        let last = self.current.as_mut().map(|word| &mut word.text);
        match self.accents.add(text, &placement, last) {
            Composition::Unchanged => self.push_glyph(text, placement),
            Composition::Consumed => {}
            Composition::Composed(letter) => self.push_glyph(letter.encode_utf8(&mut [0; 4]), placement),
            Composition::Unmatched(accent, accent_at) => {
                self.push_glyph(accent.encode_utf8(&mut [0; 4]), accent_at);
                self.push(text, placement);
            }
        }
    }

    fn push_glyph(&mut self, text: &str, placement: Placement) {
        if text.chars().all(char::is_whitespace) {
            if !text.is_empty() {
                self.close();
                self.space_before = true;
            }
            return;
        }
        if let Some(word) = &mut self.current
            && continues_word(word, &placement)
        {
            if is_duplicate(word, text, &placement) {
                return;
            }
            push_text(&mut word.text, text, &placement);
            word.right = word.right.max(placement.right);
            self.split_inner_spaces();
            return;
        }
        self.close();
        let mut cleaned = String::with_capacity(16);
        push_text(&mut cleaned, text, &placement);
        let Placement { left, right, baseline, size, bold, fixed_pitch, direction } = placement;
        self.current = Some(Word {
            text: cleaned,
            left,
            right,
            baseline,
            size,
            bold,
            fixed_pitch,
            direction,
            space_before: self.space_before,
        });
        self.space_before = false;
    }

    /// Ends the current word, if one is open.
    pub fn close(&mut self) {
        if let Some((accent, at)) = self.accents.take_pending() {
            self.push_glyph(accent.encode_utf8(&mut [0; 4]), at);
        }
        if let Some(word) = self.current.take()
            && !word.text.is_empty()
        {
            self.words.push(word);
        }
    }

    /// Ends the last word and returns all words, in the order in which the file paints them.
    pub fn finish(mut self) -> Vec<Word> {
        self.close();
        self.words
    }

    /// Ends the current word if the last glyph's text ends with a space.
    fn split_inner_spaces(&mut self) {
        if self.current.as_ref().is_some_and(|word| word.text.ends_with(char::is_whitespace)) {
            if let Some(word) = &mut self.current {
                word.text.truncate(word.text.trim_end().len());
            }
            self.close();
            self.space_before = true;
        }
    }
}

/// Appends the normalized text of a glyph. A soft hyphen that has a width is painted and becomes a hyphen.
fn push_text(out: &mut String, text: &str, placement: &Placement) {
    let has_width = placement.right - placement.left > 0.05 * placement.size;
    let start = out.len();
    text.chars().for_each(|c| push_normalized_char(out, if c == '\u{AD}' && has_width { '-' } else { c }));
    if bidi::is_rtl_ligature(&out[start..]) {
        // A word keeps its glyphs in visual order until its line is complete.
        let reversed: String = out[start..].chars().rev().collect();
        out.replace_range(start.., &reversed);
    }
}

/// Whether a glyph belongs to the word: same direction and style, on the same baseline, and without a gap.
fn continues_word(word: &Word, placement: &Placement) -> bool {
    let gap = placement.left - word.right;
    word.direction == placement.direction
        && word.bold == placement.bold
        && (word.size - placement.size).abs() <= 0.02 * word.size
        && (word.baseline - placement.baseline).abs() <= 0.1 * placement.size
        && gap <= MIN_WORD_GAP * placement.size
        && gap >= -0.5 * placement.size
}

/// Whether a glyph repeats the last one at almost the same position, which some programs do to imitate bold.
fn is_duplicate(word: &Word, text: &str, placement: &Placement) -> bool {
    let is_near = (word.right - placement.right).abs() < 0.15 * placement.size
        && placement.right - placement.left > 0.2 * placement.size;
    is_near && word.text.ends_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement_at(left: f32, right: f32) -> Placement {
        Placement {
            left,
            right,
            baseline: 100.0,
            size: 10.0,
            bold: false,
            fixed_pitch: false,
            direction: Direction::Right,
        }
    }

    fn texts(glyphs: &[(&str, f32, f32)]) -> Vec<String> {
        let mut builder = WordBuilder::default();
        glyphs.iter().for_each(|(text, left, right)| builder.push(text, placement_at(*left, *right)));
        builder.finish().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn gaps_and_spaces_separate_words_and_kerning_does_not() {
        let glyphs = [("a", 0.0, 5.0), ("b", 5.5, 10.0), ("c", 12.0, 17.0), (" ", 17.0, 19.0), ("d", 17.0, 22.0)];
        assert_eq!(texts(&glyphs), ["ab", "c", "d"]);
    }

    #[test]
    fn a_glyph_shown_twice_counts_once_but_a_doubled_letter_stays() {
        assert_eq!(texts(&[("o", 0.0, 5.0), ("o", 0.3, 5.3), ("o", 5.3, 10.3)]), ["oo"]);
    }
}
