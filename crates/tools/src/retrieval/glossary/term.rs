//! Terms of a glossary, and how they are found in a query: by the stems of their words (Snowball), and in German and
//! Dutch also as the first part of a compound.

use super::language;
use domain::glossary::{GlossaryLanguage, GlossarySource};
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::BTreeSet;

/// Minimum length of a word that matches as the first part of a compound, in bytes of its stem.
const MIN_COMPOUND_PART: usize = 6;

fn stemmer(language: GlossaryLanguage) -> Stemmer {
    Stemmer::create(match language {
        GlossaryLanguage::English => Algorithm::English,
        GlossaryLanguage::German => Algorithm::German,
        GlossaryLanguage::Spanish => Algorithm::Spanish,
        GlossaryLanguage::French => Algorithm::French,
        GlossaryLanguage::Italian => Algorithm::Italian,
        GlossaryLanguage::Dutch => Algorithm::Dutch,
        GlossaryLanguage::Portuguese => Algorithm::Portuguese,
    })
}

/// A word or a phrase that names a concept.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) text: String,
    pub(super) language: GlossaryLanguage,
    /// Index of the concept.
    pub(super) concept: usize,
    pub(super) stems: Vec<String>,
    pub(super) source: GlossarySource,
}

impl Term {
    pub(super) fn new(text: &str, language: GlossaryLanguage, concept: usize, source: GlossarySource) -> Self {
        let stemmer = stemmer(language);
        let stems = lower_case_words(text).map(|word| stemmer.stem(&word).into_owned()).collect();
        Self { text: text.to_owned(), language, concept, stems, source }
    }

    pub(super) fn is_compound_part(&self) -> bool {
        let forms_compounds = matches!(self.language, GlossaryLanguage::German | GlossaryLanguage::Dutch);
        forms_compounds && matches!(self.stems.as_slice(), [stem] if stem.len() >= MIN_COMPOUND_PART)
    }
}

/// The words of a query with their stems in each language of a glossary.
pub(super) struct QueryWords {
    words: Vec<String>,
    stems: Vec<Stems>,
}

/// The stems of a query's words in one language.
struct Stems {
    language: GlossaryLanguage,
    of_words: Vec<String>,
}

impl QueryWords {
    pub(super) fn new(query: &str, languages: &BTreeSet<GlossaryLanguage>) -> Self {
        let words: Vec<String> = lower_case_words(query).collect();
        let stems = languages.iter().map(|language| {
            let stemmer = stemmer(*language);
            let of_words = words.iter().map(|word| stemmer.stem(word).into_owned()).collect();
            Stems { language: *language, of_words }
        });
        let stems = stems.collect();
        Self { words, stems }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The language that the query's function words tell.
    pub(super) fn language(&self) -> Option<GlossaryLanguage> {
        language::language_of(&self.words)
    }

    /// `length` words from `position` on, separated by spaces.
    pub(super) fn text(&self, position: usize, length: usize) -> String {
        self.words.iter().skip(position).take(length).cloned().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn stem(&self, position: usize, language: GlossaryLanguage) -> Option<&str> {
        self.stems_in(language).get(position).map(String::as_str)
    }

    /// Whether the term's words begin at `position`.
    pub(super) fn contains(&self, term: &Term, position: usize) -> bool {
        self.stems_in(term.language).get(position..position + term.stems.len()) == Some(term.stems.as_slice())
    }

    pub(super) fn contains_anywhere(&self, term: &Term) -> bool {
        self.stems_in(term.language).windows(term.stems.len().max(1)).any(|words| words == term.stems)
    }

    /// Whether the word at `position` is a compound that begins with the term. A participle has its prefix before `ge`:
    /// `freigeschaltet` begins with `freischalt`, too.
    pub(super) fn is_compound_with(&self, term: &Term, position: usize) -> bool {
        let (Some(word), [stem]) = (self.words.get(position), term.stems.as_slice()) else { return false };
        let begins_with_stem = |word: &str| word.len() > stem.len() && word.starts_with(stem.as_str());
        let without_ge =
            || word.match_indices("ge").map(|(at, infix)| [&word[..at], &word[at + infix.len()..]].concat());
        begins_with_stem(word) || without_ge().any(|word| begins_with_stem(&word))
    }

    fn stems_in(&self, language: GlossaryLanguage) -> &[String] {
        self.stems.iter().find(|stems| stems.language == language).map_or(&[], |stems| &stems.of_words)
    }
}

/// The words of a text in lower case. A hyphen separates words.
fn lower_case_words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
