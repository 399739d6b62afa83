//! Extracts words and plant tags from text. Tags are normalized, so that `P-101A`, `P101A` and `P 101 A` are equal.
//!
//! A plant tag identifies a piece of equipment, an instrument, a procedure or a standard: letters, a number, and
//! optionally a suffix letter (ISA-5.1 loop numbers, KKS power plant codes, `SOP-017`). Tags are matched as a whole,
//! words by stem.

use std::collections::HashSet;

/// Function words of English questions, which are ignored.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "again", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before",
    "being", "but", "by", "can", "could", "did", "do", "does", "done", "for", "from", "get", "give", "had", "has",
    "have", "he", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "let", "may",
    "me", "might", "more", "most", "much", "must", "my", "need", "no", "not", "now", "of", "off", "on", "one", "or",
    "our", "out", "over", "per", "please", "shall", "she", "should", "so", "some", "such", "tell", "than", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "up", "us", "was", "we", "were",
    "what", "when", "where", "which", "who", "whom", "why", "will", "with", "you", "your",
];

/// The words of a text in order, in lower case and without punctuation.
fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Stems of a text's words, without stop words.
pub(super) fn stems_without_stop_words(text: &str) -> HashSet<String> {
    tokens(text)
        .filter(|word| has_several_chars(word) && !STOP_WORDS.contains(&word.as_str()))
        .map(|word| stem(&word))
        .collect()
}

/// The distinct words of a text that are not stop words, in order and in lower case.
pub(super) fn content_words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in tokens(text) {
        if has_several_chars(&word) && !STOP_WORDS.contains(&word.as_str()) && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// Stems of a text's words in order, including stop words.
pub(super) fn stems(text: &str) -> impl Iterator<Item = String> + '_ {
    tokens(text).filter(|word| has_several_chars(word)).map(|word| stem(&word))
}

/// Whether a word has more than one character; shorter ones do not count as words.
fn has_several_chars(word: &str) -> bool {
    word.chars().nth(1).is_some()
}

/// The words of a text in order, as hashes of their lower case.
pub(super) fn word_hashes(text: &str) -> impl Iterator<Item = WordHash> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| WordHash {
        hash: if word.is_ascii() {
            fnv(word.bytes().map(|byte| byte.to_ascii_lowercase()))
        } else {
            fnv(word.to_lowercase().bytes())
        },
        has_digit: word.bytes().any(|byte| byte.is_ascii_digit()),
    })
}

/// A word of a text, reduced to what the search for duplicates needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct WordHash {
    pub(super) hash: u64,
    pub(super) has_digit: bool,
}

/// Hashes bytes with 64-bit FNV-1a, which gives the same value in every process and version: some hashes are stored.
pub(super) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Strips the most common English suffixes. Deliberately simple: it only has to map `valves` and `valve`, or `closing`
/// and `closed`, to the same stem.
fn stem(word: &str) -> String {
    if word.len() < 4 || !word.is_ascii() || word.bytes().any(|b| b.is_ascii_digit()) {
        return word.to_owned();
    }
    let strip = |ending: &str, min: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= min);
    let root = strip("ingly", 4)
        .or_else(|| strip("ing", 3))
        .or_else(|| strip("edly", 4))
        .or_else(|| strip("ied", 3))
        .or_else(|| strip("ed", 3))
        .or_else(|| strip("ies", 3))
        .or_else(|| strip("es", 3))
        .or_else(|| strip("ly", 4))
        .or_else(|| strip("s", 3).filter(|rest| !rest.ends_with('s')))
        .unwrap_or(word);
    let root = root.strip_suffix(['e', 'y']).filter(|rest| rest.len() >= 3).unwrap_or(root);
    let bytes = root.as_bytes();
    match bytes {
        [.., a, b] if a == b && root.len() > 3 && !matches!(b, b'l' | b's') => root[..root.len() - 1].to_owned(),
        _ => root.to_owned(),
    }
}

/// The plant tags of a text, normalized to upper-case letters and digits without separators. `P-101A/B` yields `P101A`
/// and `P101B`.
pub(super) fn tags(text: &str) -> HashSet<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = HashSet::new();
    let mut at = 0;
    while at < chars.len() {
        let starts_word = chars[at].is_ascii_alphabetic() && (at == 0 || !chars[at - 1].is_alphanumeric());
        match starts_word.then(|| Tag::parse(&chars, at)).flatten() {
            Some(tag) => {
                at = tag.end;
                found.extend(tag.names());
            }
            None => at += 1,
        }
    }
    found
}

/// Whether `present` contains the normalized tag `wanted` or, if `wanted` ends in a digit, the tag with suffix letters
/// (`P101A` counts as `P101`).
pub(super) fn contains_tag(present: &HashSet<String>, wanted: &str) -> bool {
    present.contains(wanted)
        || (wanted.ends_with(|c: char| c.is_ascii_digit())
            && present
                .iter()
                .any(|tag| tag.strip_prefix(wanted).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphabetic()))))
}

/// A tag found in a text, with the index of the character after it.
struct Tag {
    letters: String,
    number: String,
    suffixes: Vec<char>,
    end: usize,
}

impl Tag {
    /// Parses `letters separator? digits (separator? letter (/ letter)*)?` at `at`.
    fn parse(chars: &[char], at: usize) -> Option<Self> {
        let count_while =
            |from: usize, predicate: fn(&char) -> bool| chars[from..].iter().take_while(|c| predicate(c)).count();
        let letters = count_while(at, char::is_ascii_alphabetic);
        let separator = usize::from(matches!(chars.get(at + letters), Some('-' | '_' | ' ' | '\u{2011}' | '\u{2013}')));
        let digits_at = at + letters + separator;
        let digits = count_while(digits_at, char::is_ascii_digit);
        let mut tag = Self {
            letters: chars[at..at + letters].iter().collect(),
            number: chars.get(digits_at..digits_at + digits)?.iter().collect(),
            suffixes: Vec::new(),
            end: digits_at + digits,
        };
        if !tag.is_plausible(chars.get(at + letters).filter(|_| separator == 1).copied()) {
            return None;
        }
        tag.read_suffixes(chars);
        let at_word_end = chars.get(tag.end).is_none_or(|c| !c.is_alphanumeric());
        at_word_end.then_some(tag)
    }

    /// Distinguishes `P-101`, `FT101`, `ISO 9001` from `step 3`, `H2O` and `24 V`.
    fn is_plausible(&self, separator: Option<char>) -> bool {
        let is_upper_case = self.letters.bytes().all(|b| b.is_ascii_uppercase());
        let min_digits = match separator {
            Some(' ') if !is_upper_case => return false,
            Some(' ') | None => 2,
            Some(_) => 1,
        };
        let max_letters = if is_upper_case { 6 } else { 3 };
        (1..=max_letters).contains(&self.letters.len()) && (min_digits..=6).contains(&self.number.len())
    }

    /// Parses the suffix letter after the number, and further ones as in `A/B`.
    fn read_suffixes(&mut self, chars: &[char]) {
        let letter_at = |at: usize| {
            let letter = chars.get(at).filter(|c| c.is_ascii_alphabetic())?;
            chars.get(at + 1).is_none_or(|next| !next.is_alphanumeric()).then(|| letter.to_ascii_uppercase())
        };
        let separated = matches!(chars.get(self.end), Some('-' | ' '))
            && chars.get(self.end + 1).is_some_and(char::is_ascii_uppercase);
        let first = self.end + usize::from(separated);
        // `P-101 I …`: a single `I` after a space is more often a word than a suffix.
        if separated && chars[self.end] == ' ' && matches!(chars[first], 'I') {
            return;
        }
        let Some(letter) = letter_at(first) else { return };
        self.suffixes.push(letter);
        self.end = first + 1;
        while chars.get(self.end) == Some(&'/') {
            let Some(letter) = letter_at(self.end + 1) else { return };
            self.suffixes.push(letter);
            self.end += 2;
        }
    }

    /// The normalized tags: one per suffix letter, or a single one without a suffix.
    fn names(&self) -> Vec<String> {
        let stem = format!("{}{}", self.letters.to_ascii_uppercase(), self.number);
        if self.suffixes.is_empty() {
            return vec![stem];
        }
        self.suffixes.iter().map(|letter| format!("{stem}{letter}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted_tags(text: &str) -> Vec<String> {
        let mut found: Vec<String> = tags(text).into_iter().collect();
        found.sort();
        found
    }

    #[test]
    fn spellings_of_one_tag_are_normalized_to_the_same_tag() {
        for spelling in ["P-101A", "P101A", "P 101 A", "p-101a", "P_101A", "P-101-A", "(P-101A)", "P-101A."] {
            assert_eq!(sorted_tags(spelling), ["P101A"], "{spelling}");
        }
        assert_eq!(sorted_tags("pumps P-101A/B and P-102"), ["P101A", "P101B", "P102"]);
        assert_eq!(sorted_tags("SOP-017, ISO 9001 and PAH-2087"), ["ISO9001", "PAH2087", "SOP017"]);
    }

    #[test]
    fn numbers_with_units_steps_and_formulas_are_not_tags() {
        for text in ["step 3", "24 V", "H2O", "CO2", "3.5MPa", "page 12", "co-operate", "in 2024", "x1"] {
            assert_eq!(sorted_tags(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_tag_without_suffix_matches_all_its_suffixes_but_not_the_other_way_round() {
        let present = tags("P-101A/B, P-1012");
        assert!(contains_tag(&present, "P101"));
        assert!(contains_tag(&present, "P101B"));
        assert!(!contains_tag(&present, "P101C"));
        assert!(!contains_tag(&tags("P-101"), "P101A"));
        assert!(!contains_tag(&tags("P-1012"), "P101"));
    }

    #[test]
    fn inflected_words_share_a_stem_and_stop_words_are_dropped() {
        for (one, other) in [
            ("valves", "valve"),
            ("closing", "closed"),
            ("alarms", "alarm"),
            ("fitted", "fitting"),
            ("batteries", "battery"),
            ("changes", "change"),
            ("press", "press"),
        ] {
            assert_eq!(stem(one), stem(other), "{one} {other}");
        }
        assert_eq!(stems_without_stop_words("What is the torque?"), HashSet::from(["torqu".to_owned()]));
    }
}
