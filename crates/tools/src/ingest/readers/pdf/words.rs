//! From shown glyphs to words: pieces of text without a gap in them, each with its place on the page.

use super::super::clean::push_char;
use super::accents::{self, Accents};
use super::bidi;

/// Which way a word runs on the page as displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Direction {
    Right,
    Down,
    Left,
    Up,
    /// At any other angle, in tenths of a degree: watermarks, labels of drawings.
    Slanted(i16),
}

impl Direction {
    /// From the vector along which the text advances (x to the right, y downwards).
    pub fn of(dx: f32, dy: f32) -> Self {
        // Within six degrees of an axis.
        const TILT: f32 = 0.1;
        match (dx, dy) {
            _ if dy.abs() <= TILT * dx.abs() => {
                if dx > 0.0 {
                    Self::Right
                } else {
                    Self::Left
                }
            }
            _ if dx.abs() <= TILT * dy.abs() => {
                if dy > 0.0 {
                    Self::Down
                } else {
                    Self::Up
                }
            }
            _ => Self::Slanted((dy.atan2(dx).to_degrees() * 10.0).round() as i16),
        }
    }

    /// A point in the frame in which text of this direction runs to the right and its lines go down.
    pub fn upright(self, x: f32, y: f32) -> (f32, f32) {
        match self {
            Self::Right => (x, y),
            Self::Slanted(angle) => turn(x, y, -angle),
            Self::Down => (y, -x),
            Self::Left => (-x, -y),
            Self::Up => (-y, x),
        }
    }

    /// The inverse of [`Direction::upright`].
    pub fn on_page(self, s: f32, t: f32) -> (f32, f32) {
        match self {
            Self::Right => (s, t),
            Self::Slanted(angle) => turn(s, t, angle),
            Self::Down => (-t, s),
            Self::Left => (-s, -t),
            Self::Up => (t, -s),
        }
    }
}

/// A point turned around the origin by tenths of a degree.
fn turn(x: f32, y: f32, angle: i16) -> (f32, f32) {
    let (sin, cos) = (f32::from(angle) / 10.0).to_radians().sin_cos();
    (x * cos - y * sin, x * sin + y * cos)
}

/// A word in the upright frame of its direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub text: String,
    /// Where it begins and ends along the line.
    pub left: f32,
    pub right: f32,
    /// Its baseline; larger is further down.
    pub base: f32,
    /// The font's size.
    pub size: f32,
    pub bold: bool,
    pub fixed: bool,
    pub direction: Direction,
    /// True when a space stands before it in the file.
    pub spaced: bool,
}

impl Word {
    pub fn top(&self) -> f32 {
        self.base - 0.8 * self.size
    }

    pub fn bottom(&self) -> f32 {
        self.base + 0.2 * self.size
    }

    pub fn middle(&self) -> f32 {
        (self.left + self.right) / 2.0
    }
}

/// The place and look of one glyph about to be appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub left: f32,
    pub right: f32,
    pub base: f32,
    pub size: f32,
    pub bold: bool,
    pub fixed: bool,
    pub direction: Direction,
}

/// A gap of more than this share of the font size parts words. Kerning stays below it, spaces are two to three times
/// as wide; poppler uses the same share.
pub(super) const WORD_GAP: f32 = 0.1;

/// Collects glyphs into words.
#[derive(Default)]
pub(super) struct WordBuilder {
    pub words: Vec<Word>,
    open: Option<Word>,
    spaced: bool,
    accents: Accents,
}

impl WordBuilder {
    /// Appends a glyph. White space ends a word; an accent waits for the letter that it belongs to.
    pub fn push(&mut self, text: &str, at: Placement) {
        let last = self.open.as_mut().map(|word| &mut word.text);
        match self.accents.meet(text, &at, last) {
            accents::Meeting::Nothing => self.push_glyph(text, at),
            accents::Meeting::Taken => {}
            accents::Meeting::Letter(letter) => self.push_glyph(letter.encode_utf8(&mut [0; 4]), at),
            accents::Meeting::Alone(accent, place) => {
                self.push_glyph(accent.encode_utf8(&mut [0; 4]), place);
                self.push(text, at);
            }
        }
    }

    fn push_glyph(&mut self, text: &str, at: Placement) {
        if text.chars().all(char::is_whitespace) {
            if !text.is_empty() {
                self.close();
                self.spaced = true;
            }
            return;
        }
        if let Some(word) = &mut self.open
            && continues(word, &at)
        {
            if is_double(word, text, &at) {
                return;
            }
            push_text(&mut word.text, text, &at);
            word.right = word.right.max(at.right);
            self.split_inner_spaces();
            return;
        }
        self.close();
        let mut clean = String::with_capacity(16);
        push_text(&mut clean, text, &at);
        let Placement { left, right, base, size, bold, fixed, direction } = at;
        self.open = Some(Word { text: clean, left, right, base, size, bold, fixed, direction, spaced: self.spaced });
        self.spaced = false;
    }

    /// Ends the open word.
    pub fn close(&mut self) {
        if let Some((accent, place)) = self.accents.end() {
            self.push_glyph(accent.encode_utf8(&mut [0; 4]), place);
        }
        if let Some(word) = self.open.take()
            && !word.text.is_empty()
        {
            self.words.push(word);
        }
    }

    /// All words, in the order in which the file shows them.
    pub fn finish(mut self) -> Vec<Word> {
        self.close();
        self.words
    }

    /// A glyph may stand for text with a space in it; the word ends there.
    fn split_inner_spaces(&mut self) {
        if self.open.as_ref().is_some_and(|word| word.text.ends_with(char::is_whitespace)) {
            if let Some(word) = &mut self.open {
                word.text.truncate(word.text.trim_end().len());
            }
            self.close();
            self.spaced = true;
        }
    }
}

/// Appends clean text. A soft hyphen that is painted is a hyphen.
fn push_text(out: &mut String, text: &str, at: &Placement) {
    let painted = at.right - at.left > 0.05 * at.size;
    let start = out.len();
    text.chars().for_each(|c| push_char(out, if c == '\u{AD}' && painted { '-' } else { c }));
    if bidi::is_leftward(&out[start..]) {
        // Words keep their glyphs from left to right until their line is whole.
        let turned: String = out[start..].chars().rev().collect();
        out.replace_range(start.., &turned);
    }
}

fn continues(word: &Word, at: &Placement) -> bool {
    let gap = at.left - word.right;
    word.direction == at.direction
        && word.bold == at.bold
        && (word.size - at.size).abs() <= 0.02 * word.size
        && (word.base - at.base).abs() <= 0.1 * at.size
        && gap <= WORD_GAP * at.size
        && gap >= -0.5 * at.size
}

/// Some producers fake bold by showing each glyph twice, a hair apart.
fn is_double(word: &Word, text: &str, at: &Placement) -> bool {
    let near = (word.right - at.right).abs() < 0.15 * at.size && at.right - at.left > 0.2 * at.size;
    near && word.text.ends_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(left: f32, right: f32) -> Placement {
        Placement { left, right, base: 100.0, size: 10.0, bold: false, fixed: false, direction: Direction::Right }
    }

    fn texts(glyphs: &[(&str, f32, f32)]) -> Vec<String> {
        let mut builder = WordBuilder::default();
        glyphs.iter().for_each(|(text, left, right)| builder.push(text, at(*left, *right)));
        builder.finish().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn gaps_and_spaces_part_words_and_kerning_does_not() {
        let glyphs = [("a", 0.0, 5.0), ("b", 5.5, 10.0), ("c", 12.0, 17.0), (" ", 17.0, 19.0), ("d", 17.0, 22.0)];
        assert_eq!(texts(&glyphs), ["ab", "c", "d"]);
    }

    #[test]
    fn a_glyph_shown_twice_counts_once_but_a_doubled_letter_stays() {
        assert_eq!(texts(&[("o", 0.0, 5.0), ("o", 0.3, 5.3), ("o", 5.3, 10.3)]), ["oo"]);
    }

    #[test]
    fn directions_have_an_upright_frame_and_back() {
        for direction in [Direction::Right, Direction::Down, Direction::Left, Direction::Up] {
            let (s, t) = direction.upright(3.0, 7.0);
            assert_eq!(direction.on_page(s, t), (3.0, 7.0));
        }
        assert_eq!(Direction::of(0.0, -1.0), Direction::Up);
        assert_eq!(Direction::of(1.0, 1.0), Direction::Slanted(450));
        let (s, t) = Direction::Slanted(450).upright(3.0, 3.0);
        assert!((s - 18_f32.sqrt()).abs() < 1e-4 && t.abs() < 1e-4, "{s} {t}");
    }
}
