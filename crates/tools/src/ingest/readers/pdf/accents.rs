//! Combines accents with letters if a PDF paints them as separate glyphs, as old TeX fonts do: `¨` above `o` becomes
//! `ö`.

use super::placement::Placement;
use unicode_normalization::char::compose;

/// Combines accents and letters; holds back an accent until its letter follows.
#[derive(Default)]
pub(super) struct AccentComposer {
    pending: Option<(char, Placement)>,
    /// Left and right edge of the last letter.
    last_letter: Option<(f32, f32)>,
}

/// What to do with a glyph that was passed to [`AccentComposer::add`].
pub(super) enum Composition {
    /// Add the glyph as it is.
    Unchanged,
    /// Nothing to add: the glyph is held back, or was merged into the previous letter.
    Consumed,
    /// The glyph and the held-back accent combine to this letter; add it instead of the glyph.
    Composed(char),
    /// The held-back accent does not fit the glyph: add the accent as it is, then pass the glyph again.
    Unmatched(char, Placement),
}

impl AccentComposer {
    /// Combines a glyph with the held-back accent, or an accent with the last letter of `word`.
    pub fn add(&mut self, text: &str, placement: &Placement, word: Option<&mut String>) -> Composition {
        let mut chars = text.chars();
        let (Some(c), None) = (chars.next(), chars.next()) else {
            self.last_letter = None;
            let pending = self.pending.take();
            return pending.map_or(Composition::Unchanged, |(accent, at)| Composition::Unmatched(accent, at));
        };
        if let Some((accent, accent_at)) = self.pending.take() {
            let matching_mark = combining_mark(accent).filter(|_| {
                is_over(&accent_at, placement.left, placement.right) && is_same_line(&accent_at, placement)
            });
            return match matching_mark.and_then(|mark| compose(with_dot(c), mark)) {
                Some(letter) => Composition::Composed(letter),
                None => Composition::Unmatched(accent, accent_at),
            };
        }
        let Some(mark) = combining_mark(c) else {
            self.last_letter = Some((placement.left, placement.right));
            return Composition::Unchanged;
        };
        if let (Some(word), Some((left, right))) = (word, self.last_letter)
            && is_over(placement, left, right)
            && let Some(letter) = word.chars().next_back().and_then(|last| compose(with_dot(last), mark))
        {
            word.pop();
            word.push(letter);
            return Composition::Consumed;
        }
        self.pending = Some((c, *placement));
        Composition::Consumed
    }

    /// Takes the accent that is still held back at the end of a word.
    pub fn take_pending(&mut self) -> Option<(char, Placement)> {
        self.pending.take()
    }
}

/// Whether the center of an accent is between the left and right edge of a letter.
fn is_over(accent: &Placement, left: f32, right: f32) -> bool {
    (left..right).contains(&((accent.left + accent.right) / 2.0))
}

/// Whether an accent and a letter are on the same line; accents are raised above capital letters.
fn is_same_line(accent: &Placement, letter: &Placement) -> bool {
    accent.direction == letter.direction && (accent.baseline - letter.baseline).abs() < 0.5 * letter.size
}

/// Replaces a dotless i or j by the letter with its dot, from which accented letters are composed.
fn with_dot(c: char) -> char {
    match c {
        'ı' => 'i',
        'ȷ' => 'j',
        c => c,
    }
}

/// The combining character of an accent; `None` if it is not an accent.
fn combining_mark(accent: char) -> Option<char> {
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
    use super::super::placement::Direction;
    use super::super::words::WordBuilder;
    use super::*;

    fn words(glyphs: &[(&str, f32, f32)]) -> Vec<String> {
        let mut builder = WordBuilder::default();
        for (text, left, baseline) in glyphs {
            let direction = Direction::Right;
            let placement = Placement {
                left: *left,
                right: left + 5.0,
                baseline: *baseline,
                size: 10.0,
                bold: false,
                fixed_pitch: false,
                direction,
            };
            builder.push(text, placement);
        }
        builder.finish().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn an_accent_is_combined_with_its_letter() {
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
