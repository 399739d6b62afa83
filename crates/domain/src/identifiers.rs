//! Finds plant identifiers in text and normalizes them, so that `P-101A`, `P101A` and `P 101 A` become the same search
//! term.
//!
//! An identifier consists of one to six letters, one to eight digits, and up to two more letters. The parts follow each
//! other directly or are separated by one space, hyphen (of any kind), underscore or slash. `P-101A/B` and `P-101/102`
//! each name two identifiers. Plant codes (`10LAB20AA001`) are handled in [`plant_code`], part numbers (`4711-0815`) in
//! [`part_number`]. The lexical index contains the normalized identifiers in addition to the words found by
//! PostgreSQL's parser, which would split `PIT-1001` into `pit` and the number `-1001`.

mod plant_code;

use plant_code::plant_code;

/// The kind of a text, which decides how strictly identifiers are recognized and which terms they yield.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextKind {
    /// A passage to be indexed. `P-101A` is indexed under `P-101`, too. Parts separated by spaces are only recognized
    /// in upper case.
    Passage,
    /// A search query, recognized in upper and lower case.
    Query,
}

/// Returns the identifiers in `text` in normalized form (lower case, no separators), separated by spaces, once per
/// occurrence.
#[must_use]
pub fn normalize_identifiers(text: &str, kind: TextKind) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut normalized = Vec::new();
    let mut index = 0;
    while index < chars.len() {
        let is_start = chars[index].is_ascii_alphanumeric() && (index == 0 || !chars[index - 1].is_alphanumeric());
        let parsed = if is_start { terms_at(&chars, index, kind) } else { None };
        if let Some((terms, end)) = parsed {
            index = end;
            normalized.extend(terms);
        } else {
            index += 1;
        }
    }
    normalized.join(" ")
}

/// Returns the search terms of the identifier that begins at `start`, and the index after it.
fn terms_at(chars: &[char], start: usize, kind: TextKind) -> Option<(Vec<String>, usize)> {
    if let Some(parsed) = plant_code(chars, start, kind) {
        return Some(parsed);
    }
    if chars[start].is_ascii_digit() {
        return part_number(chars, start);
    }
    let first = parse_identifier(chars, start, kind)?;
    let (mut terms, mut end) = (first.terms(kind), first.end);
    // In `P-101A/B` and `P-101/102`, the text after the slash replaces the last part of the first identifier.
    while let Some((next, next_end)) = first.next_in_list(chars, end) {
        terms.push(next);
        end = next_end;
    }
    Some((terms, end))
}

/// Parses a part number, that is, two or more groups of 3 to 12 digits joined by hyphens. Returns its digits as one
/// term, and the index after it.
fn part_number(chars: &[char], start: usize) -> Option<(Vec<String>, usize)> {
    let group = |at| scan_while(chars, at, 12, |c| c.is_ascii_digit()).filter(|end| end - at >= 3);
    let mut end = group(start)?;
    let mut number = to_lowercase(&chars[start..end]);
    while let Some(next) = chars.get(end).filter(|c| **c == '-').and_then(|_| group(end + 1)) {
        number += &to_lowercase(&chars[end + 1..next]);
        end = next;
    }
    let is_single_group = number.len() == end - start;
    let is_continued = chars.get(end).is_some_and(|c| c.is_alphanumeric());
    (!is_single_group && !is_continued).then(|| (vec![number], end))
}

/// A parsed identifier; texts are in lower case. For `P-101A`, `letters` is `p`, `base` is `p101` and `suffix` is `a`.
/// `is_ambiguous` is set if the suffix may be an ordinary word. `end` is the index after the identifier.
struct Identifier {
    letters: String,
    base: String,
    suffix: String,
    is_ambiguous: bool,
    end: usize,
}

impl Identifier {
    fn terms(&self, kind: TextKind) -> Vec<String> {
        let full_term = format!("{}{}", self.base, self.suffix);
        let includes_base = kind == TextKind::Passage || self.is_ambiguous;
        if self.suffix.is_empty() || !includes_base { vec![full_term] } else { vec![full_term, self.base.clone()] }
    }

    /// Parses the next identifier of a list such as `P-101A/B`, if there is a slash at `at`. Returns its term and the
    /// index after it.
    fn next_in_list(&self, chars: &[char], at: usize) -> Option<(String, usize)> {
        let start = chars.get(at).filter(|c| **c == '/').map(|_| at + 1)?;
        let (stem, end) = if self.suffix.is_empty() {
            let digits = self.base.len() - self.letters.len();
            let end = scan_while(chars, start, digits, |c| c.is_ascii_digit()).filter(|end| end - start == digits)?;
            (&self.letters, end)
        } else {
            (&self.base, scan_while(chars, start, 1, |c| c.is_ascii_alphabetic())?)
        };
        let is_complete = !chars.get(end).is_some_and(|c| c.is_alphanumeric());
        is_complete.then(|| (format!("{stem}{}", to_lowercase(&chars[start..end])), end))
    }
}

fn parse_identifier(chars: &[char], start: usize, kind: TextKind) -> Option<Identifier> {
    let letters_end = scan_while(chars, start, 6, |c| c.is_ascii_alphabetic())?;
    let digits_start = skip_separator(chars, letters_end);
    let digits_end = scan_while(chars, digits_start, 8, |c| c.is_ascii_digit())?;
    let is_separated = chars.get(letters_end) == Some(&' ');
    if is_separated && kind == TextKind::Passage && chars[start..letters_end].iter().any(char::is_ascii_lowercase) {
        return None;
    }
    let letters = to_lowercase(&chars[start..letters_end]);
    let base = format!("{letters}{}", to_lowercase(&chars[digits_start..digits_end]));
    let without_suffix = Identifier { letters, base, suffix: String::new(), is_ambiguous: false, end: digits_end };
    let suffix_start = skip_separator(chars, digits_end);
    let suffix_is_separated = chars.get(digits_end) == Some(&' ');
    let max_length = if suffix_is_separated { 1 } else { 2 };
    let suffix_end = scan_while(chars, suffix_start, max_length, |c| c.is_ascii_alphabetic())
        .filter(|end| !chars.get(*end).is_some_and(|c| c.is_alphanumeric()))
        .filter(|_| !suffix_is_separated || kind == TextKind::Query || chars[suffix_start].is_ascii_uppercase());
    // In `is P-101 a pump`, the `a` may be the suffix or an ordinary word.
    let is_ambiguous = suffix_is_separated && chars.get(suffix_start).is_some_and(char::is_ascii_lowercase);
    match suffix_end {
        Some(end) => {
            Some(Identifier { suffix: to_lowercase(&chars[suffix_start..end]), is_ambiguous, end, ..without_suffix })
        }
        None if chars.get(digits_end).is_some_and(|c| c.is_alphanumeric()) => None,
        None => Some(without_suffix),
    }
}

/// Scans characters that satisfy `matches`, from `start`. Returns the index after them, or `None` if there are none or
/// more than `max_length`.
fn scan_while(chars: &[char], start: usize, max_length: usize, matches: impl Fn(&char) -> bool) -> Option<usize> {
    let length = chars.get(start..)?.iter().take_while(|c| matches(c)).count();
    (1..=max_length).contains(&length).then_some(start + length)
}

/// Skips one separator (space, hyphen, underscore or slash) at `at`, if there is one. Returns the next index.
fn skip_separator(chars: &[char], at: usize) -> usize {
    let is_separator = |c: &char| matches!(c, ' ' | '-' | '_' | '/' | '\u{2010}'..='\u{2014}' | '\u{2212}');
    at + usize::from(chars.get(at).is_some_and(is_separator))
}

fn to_lowercase(chars: &[char]) -> String {
    chars.iter().map(char::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_identifier_yield_one_term() {
        for spelling in ["P-101A", "P101A", "P 101 A", "P 101A", "P-101-A", "P\u{2011}101A", "20-P-101A"] {
            assert_eq!(normalize_identifiers(spelling, TextKind::Query).split(' ').next(), Some("p101a"), "{spelling}");
            assert_eq!(normalize_identifiers(spelling, TextKind::Passage), "p101a p101", "{spelling}");
        }
        for spelling in ["ERR-88", "ERR 88", "ERR88", "err-88", "err88"] {
            assert_eq!(normalize_identifiers(spelling, TextKind::Query), "err88", "{spelling}");
            assert_eq!(normalize_identifiers(spelling, TextKind::Passage), "err88", "{spelling}");
        }
        assert_eq!(normalize_identifiers("err 88", TextKind::Query), "err88");
        assert_eq!(normalize_identifiers("(PIT-1001)", TextKind::Passage), "pit1001");
    }

    #[test]
    fn a_plant_code_with_its_unit_yields_one_term_in_any_spelling() {
        let spellings = ["10LAB20AA001", "10 LAB20 AA001", "10-LAB-20-AA-001", "10LAB20 AA001", "10lab20-aa001"];
        for spelling in spellings {
            assert_eq!(normalize_identifiers(spelling, TextKind::Query), "10lab20aa001 lab20aa001", "{spelling}");
        }
        for spelling in &spellings[..4] {
            let normalized = normalize_identifiers(&format!("({spelling}) open"), TextKind::Passage);
            assert_eq!(normalized, "10lab20aa001 lab20aa001 lab20", "{spelling}");
        }
        assert_eq!(normalize_identifiers("LAB20AA001", TextKind::Query), "lab20aa001");
        assert_eq!(normalize_identifiers("LAB20", TextKind::Query), "lab20");
        assert_eq!(normalize_identifiers("10LAB20", TextKind::Passage), "10lab20 lab20");
        assert_eq!(
            normalize_identifiers("=10LAB20AA001KP01 stops", TextKind::Passage),
            "10lab20aa001kp01 lab20aa001kp01 lab20aa001 lab20"
        );
    }

    #[test]
    fn every_identifier_in_a_list_is_found() {
        assert_eq!(normalize_identifiers("P-101A/B", TextKind::Query), "p101a p101b");
        assert_eq!(normalize_identifiers("pumps P-101A/B/C.", TextKind::Passage), "p101a p101 p101b p101c");
        assert_eq!(normalize_identifiers("P-101/102", TextKind::Query), "p101 p102");
        assert_eq!(normalize_identifiers("P-101A/Be", TextKind::Query), "p101a");
        assert_eq!(normalize_identifiers("P-101/7", TextKind::Query), "p101");
    }

    #[test]
    fn part_numbers_and_materials_yield_one_term() {
        assert_eq!(normalize_identifiers("seal 4711-0815, spare", TextKind::Passage), "47110815");
        assert_eq!(normalize_identifiers("4711-0815", TextKind::Query), "47110815");
        assert_eq!(
            normalize_identifiers("HNBR-70", TextKind::Query),
            normalize_identifiers("HNBR 70", TextKind::Passage)
        );
        for text in ["100 200", "10-20", "2026-11-22", "12-345", "1234", "123-456a", "M12x1.75"] {
            assert_eq!(normalize_identifiers(text, TextKind::Passage), "", "{text}");
        }
    }

    #[test]
    fn prose_contains_no_identifiers() {
        for text in ["close the 4 valves", "see section 12", "valve", "1001", "10th", "a1b2c3d4", "straße12", ""] {
            assert_eq!(normalize_identifiers(text, TextKind::Passage), "", "{text}");
        }
    }

    #[test]
    fn a_query_for_one_suffix_does_not_match_another() {
        assert_eq!(normalize_identifiers("P-101A", TextKind::Query), "p101a");
        assert_eq!(normalize_identifiers("P 101 B", TextKind::Query), "p101b");
        assert_eq!(normalize_identifiers("is P-101 a pump", TextKind::Query), "p101a p101");
        assert_eq!(normalize_identifiers("what is P-101 ", TextKind::Query), "p101");
        assert_eq!(normalize_identifiers("P-101 tripped", TextKind::Passage), "p101");
    }

    const TEXT_PATTERN: &str = "(.{0,20}|[A-Za-z]{0,7}[- /]?[0-9]{0,9}[- ]?[A-Za-z]{0,3}[- ]?){0,4}";

    proptest! {
        #[test]
        fn any_text_yields_terms_of_letters_and_digits_only(text in TEXT_PATTERN) {
            for word in normalize_identifiers(&text, TextKind::Query).split_whitespace() {
                prop_assert!(word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
            }
        }
    }
}
