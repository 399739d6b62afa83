//! Decides whether a text supports a statement: it must contain the statement's numbers, its identifiers and enough of
//! its words, and must not contradict it.

use super::quantities::{Quantity, quantities};
use crate::follow_up::tokens::{TokenKind, identifiers_in, tokens};
use crate::language::Language;
use rust_stemmers::{Algorithm, Stemmer};
use std::cmp::Ordering;
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation as _;

/// Minimum share of a statement's words that the cited passages must contain together.
const MIN_SHARED_WORDS: f64 = 0.5;
/// Minimum share of a statement's words that makes a cited passage relevant.
const MIN_RELEVANCE: f64 = 0.25;
/// Minimum share of a statement's words in a sentence about the same subject, which can contradict the statement.
const SAME_SUBJECT: f64 = 0.6;
/// Minimum length, in bytes, of a word that is recognized as a part of a longer one (German compounds).
const MIN_COMPOUND_PART: usize = 5;

/// English words that carry little meaning: function words, and words about documents.
const ENGLISH_FUNCTION_WORDS: &[&str] = &[
    "a",
    "about",
    "according",
    "after",
    "all",
    "also",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "before",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "document",
    "documents",
    "each",
    "either",
    "every",
    "for",
    "from",
    "had",
    "has",
    "have",
    "here",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "manual",
    "may",
    "must",
    "no",
    "not",
    "of",
    "on",
    "once",
    "one",
    "only",
    "or",
    "per",
    "procedure",
    "says",
    "shall",
    "should",
    "so",
    "states",
    "such",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "up",
    "use",
    "was",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "will",
    "with",
    "would",
    "you",
    "your",
];
/// German words that carry little meaning.
const GERMAN_FUNCTION_WORDS: &[&str] = &[
    "aber", "alle", "als", "am", "an", "auch", "auf", "aus", "bei", "beim", "bis", "da", "dann", "das", "dass", "dem",
    "den", "der", "des", "die", "dies", "diese", "dieser", "dieses", "durch", "ein", "eine", "einem", "einen", "einer",
    "eines", "es", "für", "gemäß", "hat", "ich", "ihr", "im", "ist", "jede", "jeden", "jeder", "kann", "kein", "keine",
    "laut", "man", "mit", "muss", "müssen", "nach", "nicht", "noch", "nur", "oder", "pro", "sein", "sich", "sie",
    "sind", "soll", "sowie", "über", "um", "und", "unter", "vom", "von", "vor", "war", "wenn", "werden", "wie", "wird",
    "zu", "zum", "zur", "zwischen",
];
/// Words that negate a sentence.
const NEGATIONS: &[&str] =
    &["not", "never", "no", "without", "cannot", "nicht", "nie", "niemals", "kein", "keine", "keinen", "ohne"];
/// Pairs of words with opposite meanings.
const OPPOSITES: &[(&str, &str)] = &[
    ("minimum", "maximum"),
    ("least", "most"),
    ("open", "close"),
    ("opened", "closed"),
    ("before", "after"),
    ("above", "below"),
    ("increase", "decrease"),
    ("start", "stop"),
    ("high", "low"),
    ("clockwise", "counterclockwise"),
    ("mindestens", "höchstens"),
    ("öffnen", "schließen"),
    ("vor", "nach"),
    ("über", "unter"),
    ("starten", "stoppen"),
];

/// Analyzes statements and texts, so that they can be compared.
pub(super) struct TextAnalyzer {
    english: Stemmer,
    german: Stemmer,
}

/// The content of a text, in a form that can be compared.
pub(super) struct Content {
    /// Stems of the words that carry meaning.
    stems: HashSet<String>,
    /// All words in lower case.
    words: HashSet<String>,
    identifiers: HashSet<String>,
    quantities: Vec<Quantity>,
    language: Option<Language>,
}

/// A text that may support statements.
pub(super) struct Evidence {
    whole: Content,
    sentences: Vec<Content>,
}

impl TextAnalyzer {
    pub(super) fn new() -> Self {
        Self { english: Stemmer::create(Algorithm::English), german: Stemmer::create(Algorithm::German) }
    }

    /// Analyzes a statement or a text.
    pub(super) fn content(&self, text: &str) -> Content {
        let tokens = tokens(text);
        let words: HashSet<String> = tokens
            .iter()
            .filter(|token| token.kind == TokenKind::Word)
            .flat_map(|token| token.lower.split(|c: char| !c.is_alphanumeric()).map(str::to_owned))
            .filter(|word| word.chars().count() > 1)
            .collect();
        let language = language(&words);
        let stemmer = if language == Some(Language::German) { &self.german } else { &self.english };
        let has_meaning = |word: &&String| {
            !ENGLISH_FUNCTION_WORDS.contains(&word.as_str()) && !GERMAN_FUNCTION_WORDS.contains(&word.as_str())
        };
        Content {
            stems: words.iter().filter(has_meaning).map(|word| stemmer.stem(word).into_owned()).collect(),
            identifiers: identifiers_in(text).into_iter().map(|identifier| identifier.normalized).collect(),
            quantities: quantities(text),
            words,
            language,
        }
    }

    /// Analyzes a text that may support statements, as a whole and sentence by sentence.
    pub(super) fn evidence(&self, text: &str) -> Evidence {
        let sentences = text.lines().flat_map(|line| line.unicode_sentences());
        Evidence { whole: self.content(text), sentences: sentences.map(|sentence| self.content(sentence)).collect() }
    }
}

impl Content {
    /// Returns whether there is nothing to check: at most one meaningful word, and no number or identifier.
    pub(super) fn is_trivial(&self) -> bool {
        self.stems.len() < 2 && self.quantities.is_empty() && self.identifiers.is_empty()
    }

    fn has_word(&self, stem: &str) -> bool {
        let is_part = |a: &str, b: &str| a.len() >= MIN_COMPOUND_PART && b.contains(a);
        self.stems.contains(stem) || self.stems.iter().any(|other| is_part(stem, other) || is_part(other, stem))
    }

    fn is_negated(&self) -> bool {
        NEGATIONS.iter().any(|word| self.words.contains(*word))
    }

    /// Returns whether one text has a word where the other has its opposite.
    fn has_opposite_of(&self, other: &Self) -> bool {
        let has_only =
            |content: &Self, word: &str, not: &str| content.words.contains(word) && !content.words.contains(not);
        OPPOSITES.iter().any(|(a, b)| {
            (has_only(self, a, b) && has_only(other, b, a)) || (has_only(self, b, a) && has_only(other, a, b))
        })
    }
}

/// Returns whether the passages that a statement cites support it together: each number with its unit and each
/// identifier is in one of them, they contain enough of its words, and none has a sentence that contradicts it.
///
/// Words are not compared across languages.
pub(super) fn jointly_support(cited: &[&Evidence], statement: &Content) -> bool {
    let any = |is_in: &dyn Fn(&Content) -> bool| cited.iter().any(|evidence| is_in(&evidence.whole));
    let is_stated =
        |quantity: &Quantity| any(&|whole| whole.quantities.iter().any(|other| quantity.agrees_with(other)));
    let is_named = |identifier: &String| any(&|whole| whole.names(identifier));
    let is_comparable = cited.iter().any(|evidence| !is_in_other_language(statement, &evidence.whole));
    let shared_words = share(&statement.stems, |stem| any(&|whole| whole.has_word(stem)));
    !cited.is_empty()
        && statement.quantities.iter().all(is_stated)
        && statement.identifiers.iter().all(is_named)
        && (!is_comparable || shared_words >= MIN_SHARED_WORDS)
        && !cited.iter().any(|evidence| evidence.contradicts(statement))
}

impl Evidence {
    /// Returns whether the text supports a statement without citation markers; see [`jointly_support`]. A text in
    /// another language supports only statements with a number or an identifier, since words cannot be compared.
    pub(super) fn supports_uncited(&self, statement: &Content) -> bool {
        let has_number_or_identifier = !statement.quantities.is_empty() || !statement.identifiers.is_empty();
        (has_number_or_identifier || !is_in_other_language(statement, &self.whole))
            && jointly_support(&[self], statement)
    }

    /// Returns whether the text has enough in common with the statement to be cited for it. A text in another language
    /// always has.
    pub(super) fn is_relevant_to(&self, statement: &Content) -> bool {
        let whole = &self.whole;
        is_in_other_language(statement, whole)
            || share(&statement.stems, |stem| whole.has_word(stem)) >= MIN_RELEVANCE
            || statement.quantities.iter().any(|a| whole.quantities.iter().any(|b| a.agrees_with(b)))
    }

    fn contradicts(&self, statement: &Content) -> bool {
        if statement.stems.len() < 2 || is_in_other_language(statement, &self.whole) {
            return false;
        }
        let shared_words = |sentence: &Content| share(&statement.stems, |stem| sentence.has_word(stem));
        let scored = self.sentences.iter().map(|sentence| (shared_words(sentence), sentence));
        let Some((score, closest)) = scored.max_by(|a, b| a.0.total_cmp(&b.0)) else { return false };
        let is_opposite = statement.is_negated() != closest.is_negated() || statement.has_opposite_of(closest);
        score >= SAME_SUBJECT && is_opposite
    }
}

fn is_in_other_language(a: &Content, b: &Content) -> bool {
    matches!((a.language, b.language), (Some(a), Some(b)) if a != b)
}

/// Returns the share of the stems for which `is_found` holds, 0 to 1; 1 if there are none.
fn share(stems: &HashSet<String>, is_found: impl Fn(&str) -> bool) -> f64 {
    if stems.is_empty() {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a statement has few words")]
    let share = stems.iter().filter(|stem| is_found(stem)).count() as f64 / stems.len() as f64;
    share
}

impl Content {
    /// Returns whether the text contains this identifier, or that of its group of redundant units (`P101` for `P101A`).
    fn names(&self, identifier: &str) -> bool {
        let group = identifier.strip_suffix(|c: char| c.is_ascii_alphabetic());
        let group = group.filter(|group| group.ends_with(|c: char| c.is_ascii_digit()));
        self.identifiers.contains(identifier) || group.is_some_and(|group| self.identifiers.contains(group))
    }
}

/// Returns the language whose function words are more frequent; `None` if neither is.
fn language(words: &HashSet<String>) -> Option<Language> {
    let count = |list: &[&str]| list.iter().filter(|word| words.contains(**word)).count();
    match count(ENGLISH_FUNCTION_WORDS).cmp(&count(GERMAN_FUNCTION_WORDS)) {
        Ordering::Greater => Some(Language::English),
        Ordering::Less => Some(Language::German),
        Ordering::Equal => None,
    }
}
