//! Plant identifiers in running text, folded so that `P-101A`, `P101A` and `P 101 A` are one word.
//!
//! An identifier is one to six letters, then one to eight digits, then perhaps one or two letters, each joined directly,
//! by a hyphen of any kind, an underscore or a slash, or by one space. The lexical index holds the folded word beside the
//! words that PostgreSQL's parser finds, which takes `PIT-1001` apart into `pit` and the number `-1001`.

/// Where the text comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// A passage. `P-101A` is found under `P-101` too; parts apart from each other count only in capitals.
    Passage,
    /// A query, in whatever case it was typed.
    Query,
}

/// The identifiers in `text`, folded, separated by spaces; repeated as often as they occur.
pub(crate) fn fold(text: &str, source: Source) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut folded = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let begins = chars[at].is_ascii_alphabetic() && (at == 0 || !chars[at - 1].is_alphanumeric());
        let found = if begins { identifier(&chars, at, source) } else { None };
        if let Some(found) = found {
            at = found.end;
            folded.extend(found.words(source));
        } else {
            at += 1;
        }
    }
    folded.join(" ")
}

/// An identifier in its parts.
struct Identifier {
    base: String,
    suffix: String,
    doubtful: bool,
    end: usize,
}

impl Identifier {
    fn words(self, source: Source) -> Vec<String> {
        let whole = format!("{}{}", self.base, self.suffix);
        let base_too = source == Source::Passage || self.doubtful;
        if self.suffix.is_empty() || !base_too { vec![whole] } else { vec![whole, self.base] }
    }
}

fn identifier(chars: &[char], start: usize, source: Source) -> Option<Identifier> {
    let letters_end = run(chars, start, 6, |c| c.is_ascii_alphabetic())?;
    let digits_start = past_joint(chars, letters_end);
    let digits_end = run(chars, digits_start, 8, |c| c.is_ascii_digit())?;
    let apart = chars.get(letters_end) == Some(&' ');
    if apart && source == Source::Passage && chars[start..letters_end].iter().any(char::is_ascii_lowercase) {
        return None;
    }
    let base = lower(&chars[start..letters_end]) + &lower(&chars[digits_start..digits_end]);
    let plain = Identifier { base, suffix: String::new(), doubtful: false, end: digits_end };
    let suffix_start = past_joint(chars, digits_end);
    let suffix_apart = chars.get(digits_end) == Some(&' ');
    let longest = if suffix_apart { 1 } else { 2 };
    let suffix_end = run(chars, suffix_start, longest, |c| c.is_ascii_alphabetic())
        .filter(|end| !chars.get(*end).is_some_and(|c| c.is_alphanumeric()))
        .filter(|_| !suffix_apart || source == Source::Query || chars[suffix_start].is_ascii_uppercase());
    // In `is P-101 a pump`, the `a` may be the pump's side or a word of its own.
    let doubtful = suffix_apart && chars.get(suffix_start).is_some_and(char::is_ascii_lowercase);
    match suffix_end {
        Some(end) => Some(Identifier { suffix: lower(&chars[suffix_start..end]), doubtful, end, ..plain }),
        None if chars.get(digits_end).is_some_and(|c| c.is_alphanumeric()) => None,
        None => Some(plain),
    }
}

/// The end of one to `longest` characters of a kind; none where there are more, or not one.
fn run(chars: &[char], start: usize, longest: usize, is: impl Fn(&char) -> bool) -> Option<usize> {
    let length = chars.get(start..)?.iter().take_while(|c| is(c)).count();
    (1..=longest).contains(&length).then_some(start + length)
}

/// Past one joining character, if there is one.
fn past_joint(chars: &[char], at: usize) -> usize {
    let joins = |c: &char| matches!(c, ' ' | '-' | '_' | '/' | '\u{2010}'..='\u{2014}' | '\u{2212}');
    at + usize::from(chars.get(at).is_some_and(joins))
}

fn lower(chars: &[char]) -> String {
    chars.iter().map(char::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_identifier_are_one_word() {
        for spelling in ["P-101A", "P101A", "P 101 A", "P 101A", "P-101-A", "P\u{2011}101A", "20-P-101A"] {
            assert_eq!(fold(spelling, Source::Query).split(' ').next(), Some("p101a"), "{spelling}");
            assert_eq!(fold(spelling, Source::Passage), "p101a p101", "{spelling}");
        }
        for spelling in ["ERR-88", "ERR 88", "ERR88", "err-88", "err88"] {
            assert_eq!(fold(spelling, Source::Query), "err88", "{spelling}");
            assert_eq!(fold(spelling, Source::Passage), "err88", "{spelling}");
        }
        assert_eq!(fold("err 88", Source::Query), "err88");
        assert_eq!(fold("(PIT-1001)", Source::Passage), "pit1001");
    }

    #[test]
    fn running_text_makes_no_identifiers() {
        for text in ["close the 4 valves", "see section 12", "valve", "1001", "10th", "a1b2c3d4", "straße12", ""] {
            assert_eq!(fold(text, Source::Passage), "", "{text}");
        }
    }

    #[test]
    fn a_query_for_one_side_does_not_ask_for_the_other() {
        assert_eq!(fold("P-101A", Source::Query), "p101a");
        assert_eq!(fold("P 101 B", Source::Query), "p101b");
        assert_eq!(fold("is P-101 a pump", Source::Query), "p101a p101");
        assert_eq!(fold("what is P-101 ", Source::Query), "p101");
        assert_eq!(fold("P-101 tripped", Source::Passage), "p101");
    }

    proptest! {
        #[test]
        fn any_text_folds_to_words_of_letters_and_digits(text in "(.{0,20}|[A-Za-z]{0,7}[- /]?[0-9]{0,9}[- ]?[A-Za-z]{0,3}[- ]?){0,4}") {
            for word in fold(&text, Source::Query).split_whitespace() {
                prop_assert!(word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
            }
        }
    }
}
