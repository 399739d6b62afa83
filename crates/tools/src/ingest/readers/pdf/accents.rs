//! Accents that are painted by themselves, as old TeX fonts need them: `¨` over an `o` is an `ö`.

use super::words::Placement;
use unicode_normalization::char::compose;

/// An accent that waits for its letter.
#[derive(Default)]
pub(super) struct Accents {
    waiting: Option<(char, Placement)>,
    /// The place of the last letter.
    last: Option<(f32, f32)>,
}

/// What became of a glyph.
pub(super) enum Meeting {
    /// It is what it is.
    Nothing,
    /// It waits, or went to the letter before it.
    Taken,
    /// It is this letter now.
    Letter(char),
    /// An accent that waited has no letter; it goes first, and the glyph is to be asked about again.
    Alone(char, Placement),
}

impl Accents {
    /// Brings a glyph together with an accent before it, or an accent with the letter that ends `word`.
    pub fn meet(&mut self, text: &str, at: &Placement, word: Option<&mut String>) -> Meeting {
        let mut chars = text.chars();
        let (Some(c), None) = (chars.next(), chars.next()) else {
            self.last = None;
            return self.waiting.take().map_or(Meeting::Nothing, |(accent, place)| Meeting::Alone(accent, place));
        };
        if let Some((accent, place)) = self.waiting.take() {
            let letter = combining(accent).filter(|_| is_over(&place, at.left, at.right) && near(&place, at));
            return match letter.and_then(|mark| compose(dotted(c), mark)) {
                Some(letter) => Meeting::Letter(letter),
                None => Meeting::Alone(accent, place),
            };
        }
        let Some(mark) = combining(c) else {
            self.last = Some((at.left, at.right));
            return Meeting::Nothing;
        };
        if let (Some(word), Some((left, right))) = (word, self.last)
            && is_over(at, left, right)
            && let Some(letter) = word.chars().next_back().and_then(|last| compose(dotted(last), mark))
        {
            word.pop();
            word.push(letter);
            return Meeting::Taken;
        }
        self.waiting = Some((c, *at));
        Meeting::Taken
    }

    /// The accent that still waits.
    pub fn end(&mut self) -> Option<(char, Placement)> {
        self.waiting.take()
    }
}

/// Whether the middle of an accent stands over a letter.
fn is_over(accent: &Placement, left: f32, right: f32) -> bool {
    (left..right).contains(&((accent.left + accent.right) / 2.0))
}

/// Over a capital letter an accent is raised.
fn near(accent: &Placement, letter: &Placement) -> bool {
    accent.direction == letter.direction && (accent.base - letter.base).abs() < 0.5 * letter.size
}

/// Letters lose their dot under an accent.
fn dotted(c: char) -> char {
    match c {
        'ı' => 'i',
        'ȷ' => 'j',
        c => c,
    }
}

/// The combining form of an accent.
fn combining(accent: char) -> Option<char> {
    Some(match accent {
        '`' => '\u{300}',
        '´' => '\u{301}',
        'ˆ' | '^' => '\u{302}',
        '˜' | '~' => '\u{303}',
        '¯' => '\u{304}',
        '˘' => '\u{306}',
        '˙' => '\u{307}',
        '¨' => '\u{308}',
        '˚' => '\u{30A}',
        '˝' => '\u{30B}',
        'ˇ' => '\u{30C}',
        '¸' => '\u{327}',
        '˛' => '\u{328}',
        '\u{300}'..='\u{328}' => accent,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::words::{Direction, WordBuilder};
    use super::*;

    fn words(glyphs: &[(&str, f32, f32)]) -> Vec<String> {
        let mut builder = WordBuilder::default();
        for (text, left, base) in glyphs {
            let direction = Direction::Right;
            let at = Placement {
                left: *left,
                right: left + 5.0,
                base: *base,
                size: 10.0,
                bold: false,
                fixed: false,
                direction,
            };
            builder.push(text, at);
        }
        builder.finish().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn an_accent_and_its_letter_are_one() {
        assert_eq!(words(&[("r", 0.0, 9.0), ("¨", 5.0, 9.0), ("o", 5.2, 9.0), ("ß", 10.2, 9.0)]), ["röß"]);
        assert_eq!(words(&[("¨", 0.5, 6.8), ("U", 0.0, 9.0), ("b", 5.0, 9.0)]), ["Üb"], "raised over a capital");
        assert_eq!(words(&[("c", 0.0, 9.0), ("¸", 0.1, 9.0), ("a", 5.0, 9.0)]), ["ça"], "after its letter");
    }

    #[test]
    fn an_accent_without_a_letter_stays() {
        assert_eq!(words(&[("x", 0.0, 9.0), ("^", 5.0, 9.0), ("2", 10.0, 9.0)]), ["x^2"]);
        assert_eq!(words(&[("~", 0.0, 9.0)]), ["~"]);
        assert_eq!(words(&[("`", 0.0, 9.0), ("`", 5.0, 9.0), ("a", 10.0, 9.0)]), ["``a"]);
    }
}
