//! Extracts comparable terms from text: word stems, numbers, and plant tags (equipment identifiers such as `P-101A`).

use rust_stemmers::{Algorithm, Stemmer};
use std::collections::HashSet;

/// Function words, and words that only phrase a question; they are ignored.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but",
    "by", "can", "could", "did", "do", "does", "either", "for", "from", "get", "gets", "give", "given", "go", "goes",
    "had", "has", "have", "he", "her", "here", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself",
    "just", "let", "many", "may", "me", "might", "mine", "more", "much", "must", "my", "need", "needs", "no", "not",
    "now", "of", "often", "on", "one", "or", "our", "out", "please", "shall", "she", "should", "so", "some",
    "somebody", "such", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "times", "to", "up", "us", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom",
    "whose", "why", "will", "with", "would", "you", "your",
];

/// Spelled-out numbers, which count as numbers like digits do.
const NUMBER_WORDS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "once", "twice",
];

/// The terms of a text.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Word stems and numbers.
    pub words: HashSet<String>,
    /// Normalized plant tags, in upper case without separators: `P101A`.
    pub tags: HashSet<String>,
    /// Whether the text contains a number outside of plant tags.
    pub has_number: bool,
}

impl Terms {
    /// How well the text matches `word`: 1 if it contains the word, 0.7 if it contains one that is at most two
    /// characters longer (`NPSHR` for `NPSH`), else 0.
    pub(super) fn word_match(&self, word: &str) -> f32 {
        let has_short_suffix = |other: &String| other.strip_prefix(word).is_some_and(|rest| rest.len() <= 2);
        if self.words.contains(word) {
            1.0
        } else if word.len() >= 4 && self.words.iter().any(has_short_suffix) {
            0.7
        } else {
            0.0
        }
    }

    /// How well the text matches the normalized plant tag `tag`, 0 to 1; see [`tag_similarity`].
    pub(super) fn tag_match(&self, tag: &str) -> f32 {
        self.tags.iter().map(|other| tag_similarity(tag, other)).fold(0.0, f32::max)
    }
}

/// Extracts terms from texts.
pub(super) struct TermExtractor {
    stemmer: Stemmer,
}

impl TermExtractor {
    pub(super) fn new() -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English) }
    }

    /// The terms of `text`.
    pub(super) fn extract(&self, text: &str) -> Terms {
        let mut terms = Terms::default();
        for token in text.split(|c: char| c.is_whitespace() || "|()[]{}\"“”„‘’'?!;:<>=…".contains(c)) {
            let token = token.trim_matches(|c: char| !c.is_alphanumeric() && c != '%');
            if token.is_empty() {
                continue;
            }
            if is_tag(token) {
                terms.tags.extend(expand_tags(token));
                continue;
            }
            self.extract_words(token, &mut terms);
        }
        terms
    }

    fn extract_words(&self, token: &str, terms: &mut Terms) {
        if token.starts_with(|c: char| c.is_ascii_digit()) {
            terms.has_number = true;
            terms.words.insert(token.to_lowercase());
            return;
        }
        for word in token.split(|c: char| !c.is_alphanumeric()) {
            let lower = word.to_lowercase();
            terms.has_number |= NUMBER_WORDS.contains(&lower.as_str());
            if lower.chars().count() > 1 && !STOP_WORDS.contains(&lower.as_str()) {
                terms.words.insert(self.stemmer.stem(&lower).into_owned());
            }
        }
    }
}

/// Whether `token` looks like a plant tag: it starts with a letter and contains two digits (`P101A`, `SOP-MNT-014`), or
/// one after a hyphen (`F-6`). A single digit alone is part of a formula such as `NH3`, which is a word.
fn is_tag(token: &str) -> bool {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    token.starts_with(|c: char| c.is_ascii_alphabetic())
        && (digits >= 2 || (digits == 1 && token.contains('-')))
        && token.chars().all(|c| c.is_ascii_alphanumeric() || "-/._".contains(c))
}

/// The normalized plant tags in `token`: `P-101A/B` means both `P101A` and `P101B`.
fn expand_tags(token: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for part in token.split('/') {
        let part = normalize_tag(part);
        match tags.last() {
            Some(previous) if part.len() == 1 && previous.ends_with(|c: char| c.is_ascii_alphabetic()) => {
                let base = &previous[..previous.len() - 1];
                tags.push(format!("{base}{part}"));
            }
            _ if part.is_empty() => {}
            _ => tags.push(part),
        }
    }
    tags
}

/// Normalizes a plant tag to its ASCII letters and digits, in upper case.
pub(super) fn normalize_tag(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Similarity of two normalized plant tags: 1 if equal, 0.6 if one is the group of the other (`P101`, `P101A`), else 0.
pub(super) fn tag_similarity(a: &str, b: &str) -> f32 {
    let (shorter, longer) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    match longer.strip_prefix(shorter) {
        Some("") => 1.0,
        Some(rest) if rest.len() == 1 && rest.as_bytes()[0].is_ascii_alphabetic() => 0.6,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plant_tag_is_one_term_in_any_spelling() {
        let extractor = TermExtractor::new();
        for text in ["P-101A", "the P101A.", "p-101a", "(P-101A/B)", "P-101A/P-101B"] {
            assert!(extractor.extract(text).tags.contains("P101A"), "{text}");
        }
        assert!(extractor.extract("P-101A/B").tags.contains("P101B"));
        assert!(!extractor.extract("P-1010A").tags.contains("P101A"));
    }

    #[test]
    fn a_plant_tag_matches_its_group_but_not_other_members_of_the_group() {
        assert!(tag_similarity("P101A", "P101A") > tag_similarity("P101A", "P101"));
        assert!(tag_similarity("P101A", "P101") > 0.0);
        assert!(tag_similarity("P101C", "P101A") == 0.0);
        assert!(tag_similarity("P101", "P1011") == 0.0, "a different number is different equipment");
    }

    #[test]
    fn a_chemical_formula_is_a_word() {
        let extractor = TermExtractor::new();
        for formula in ["NH3", "CO2", "H2S"] {
            let terms = extractor.extract(formula);
            assert!(terms.tags.is_empty() && terms.words.len() == 1, "{formula}: {terms:?}");
        }
        assert_eq!(extractor.extract("F-6").tags.len(), 1);
    }

    #[test]
    fn words_are_compared_by_stem_and_question_words_do_not_count() {
        let extractor = TermExtractor::new();
        let terms = extractor.extract("How often are the bearings changed?");
        assert_eq!(terms.words, extractor.extract("bearing change").words);
        assert!(extractor.extract("0.14 mm").has_number);
        assert!(!extractor.extract("P-101A").has_number, "a plant tag is not a measurement");
    }
}
