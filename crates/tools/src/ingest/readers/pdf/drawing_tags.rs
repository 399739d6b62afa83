//! Finds the tags of a drawing with their positions.

use super::words::Word;

/// Maximum length of a tag, in bytes.
const MAX_TAG_BYTES: usize = 16;
/// Letters before a number that are no tag: sizes, pressure ratings, standards and revisions.
const NO_TAGS: [&str; 16] =
    ["DN", "PN", "ISO", "DIN", "EN", "IEC", "API", "ANSI", "ASME", "NPS", "SCH", "REV", "VDI", "NAMUR", "IP", "BS"];

/// A tag on a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlacedTag {
    /// The tag, such as `FV-1012`.
    pub text: String,
    /// The middle of the tag on the page as displayed, in points from the left.
    pub x: f32,
    /// The middle of the tag on the page as displayed, in points from the top.
    pub y: f32,
    /// Where the tag begins along its line.
    pub left: f32,
}

/// Finds all tags: words such as `FV-1012`, and letters with a number below or beside them, as in the symbols of
/// instruments.
pub(super) fn find_tags(words: &[Word]) -> Vec<PlacedTag> {
    let mut tags: Vec<PlacedTag> = words.iter().filter_map(|word| place(tag_of(&word.text)?, word, word)).collect();
    let numbers: Vec<&Word> = words.iter().filter(|word| is_number(trimmed(&word.text))).collect();
    let mut used = vec![false; numbers.len()];
    for letters in words.iter().filter(|word| is_letters(trimmed(&word.text))) {
        let free = numbers.iter().enumerate().filter(|(at, number)| !used[*at] && belongs(letters, number));
        let nearest = free.min_by(|(_, a), (_, b)| distance(letters, a).total_cmp(&distance(letters, b)));
        if let Some((at, number)) = nearest {
            used[at] = true;
            let tag = format!("{}-{}", trimmed(&letters.text), trimmed(&number.text));
            tags.extend(place(tag, letters, number));
        }
    }
    tags
}

/// The tag between the middles of two words; `None` for positions that are not finite.
fn place(text: String, first: &Word, last: &Word) -> Option<PlacedTag> {
    let middle = |word: &Word| word.direction.to_page(word.middle(), (word.top() + word.bottom()) / 2.0);
    let ((x0, y0), (x1, y1)) = (middle(first), middle(last));
    let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    (x.is_finite() && y.is_finite()).then_some(PlacedTag { text, x, y, left: first.left })
}

/// Whether a number belongs to the letters: centered on the next line, or directly behind them.
fn belongs(letters: &Word, number: &Word) -> bool {
    let size = letters.size.max(number.size);
    let below = number.baseline - letters.baseline;
    let is_below = (0.5 * size..=2.2 * size).contains(&below) && (letters.middle() - number.middle()).abs() <= size;
    let gap = number.left - letters.right;
    let is_beside = below.abs() <= 0.2 * size && (0.0..=size).contains(&gap);
    letters.direction == number.direction && (is_below || is_beside)
}

fn distance(letters: &Word, number: &Word) -> f32 {
    (letters.middle() - number.middle()).abs() + (number.baseline - letters.baseline).abs()
}

/// The word without the punctuation around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The letters of an instrument's function, such as `FV` or `PIT`.
fn is_letters(text: &str) -> bool {
    (2..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase()) && !NO_TAGS.contains(&text)
}

/// The number of a loop, such as `1012` or `1012A`.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let suffix = &text.as_bytes()[digits..];
    (2..=6).contains(&digits) && suffix.len() <= 1 && suffix.iter().all(u8::is_ascii_uppercase)
}

/// The tag that a word is: letters, then a number of at least two digits, possibly with an area before and a suffix
/// behind them, such as `FV-1012`, `P-101A/B`, `10-PIT-1001` or `TI1021`.
fn tag_of(text: &str) -> Option<String> {
    let text = trimmed(text);
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-/._".contains(&byte);
    if text.len() > MAX_TAG_BYTES || !text.bytes().all(is_usual) {
        return None;
    }
    let after_area = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('-');
    let letters = after_area.bytes().take_while(u8::is_ascii_uppercase).count();
    let (function, rest) = after_area.split_at(letters);
    let rest = rest.trim_start_matches(['-', '.', '_']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let is_tag = (1..=5).contains(&letters) && (2..=6).contains(&digits) && !NO_TAGS.contains(&function);
    is_tag.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_sizes_dates_and_words() {
        for tag in ["FV-1012", "P-101A/B", "10-PIT-1001", "TI1021", "(LSH-2001)", "E-301"] {
            assert_eq!(tag_of(tag).as_deref(), Some(trimmed(tag)), "{tag}");
        }
        for other in ["DN150", "PN-16", "2026-03-12", "VALVE", "A3", "1012", "Pump-101", "REV-02", ""] {
            assert_eq!(tag_of(other), None, "{other}");
        }
    }
}
