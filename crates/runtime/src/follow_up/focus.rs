//! Tracks what a conversation is about, turn by turn.

use super::EarlierTurn;
use super::question::{Question, is_content_token, topics};
use super::tokens::{Identifier, identifiers_in, tokens};
use std::collections::HashSet;

/// Maximum number of characters of an answer that are read.
const MAX_ANSWER_CHARS: usize = 2_000;
/// Maximum number of words that are carried over from a question.
const MAX_TOPICS: usize = 6;

/// The last question in standalone form, and what was mentioned up to it.
#[derive(Clone, Debug, Default)]
pub struct Focus {
    /// The last question in standalone form; empty before the first one.
    pub question: String,
    /// Identifiers in that question.
    pub identifiers: Vec<Identifier>,
    /// Whether the last question starts with a capital letter. If so, the user's capitalization marks German nouns.
    pub capitalizes: bool,
    /// What that question is about besides its identifiers.
    pub topics: Vec<String>,
    /// All content words of that question, its verbs among them.
    pub words: Vec<String>,
    /// Titles of the documents that its answer cites.
    pub titles: Vec<String>,
    /// Identifiers that the user has mentioned, newest last.
    user_identifiers: Vec<Identifier>,
    /// Identifiers in answers and titles, newest last.
    shown_identifiers: Vec<Identifier>,
    answer_words: HashSet<String>,
}

impl Focus {
    /// Advances to the next turn, whose question in standalone form is `resolved`. Small talk changes nothing.
    pub fn advance(&mut self, turn: &EarlierTurn<'_>, resolved: String) {
        if Question::parse(turn.question).is_empty() {
            return;
        }
        let resolved = Question::parse(&resolved).without_announcement().to_owned();
        let words = tokens(&resolved);
        let texts = |tokens: Vec<&super::tokens::Token>| {
            let mut texts: Vec<String> = Vec::new();
            for token in tokens {
                if !texts.iter().any(|known| known.to_lowercase() == token.lower) && texts.len() < MAX_TOPICS {
                    texts.push(token.text.clone());
                }
            }
            texts
        };
        self.capitalizes = turn.question.starts_with(char::is_uppercase);
        self.topics = texts(topics(&words, self.capitalizes));
        self.words = texts(words.iter().filter(|token| is_content_token(token)).collect());
        self.identifiers = identifiers_in(&resolved);
        self.question = resolved;
        self.titles = turn.titles.iter().map(|title| (*title).to_owned()).collect();
        let answer: String = turn.answer.chars().take(MAX_ANSWER_CHARS).collect();
        self.answer_words = tokens(&answer).into_iter().filter(is_content_token).map(|token| token.lower).collect();
        add_newest(&mut self.user_identifiers, self.identifiers.clone());
        for text in turn.titles.iter().copied().chain([answer.as_str()]) {
            add_newest(&mut self.shown_identifiers, identifiers_in(text));
        }
    }

    /// Whether the word was in the last question or in the titles that its answer cites.
    pub fn mentions(&self, word: &str) -> bool {
        let titles = self.titles.iter().flat_map(|title| tokens(title)).map(|token| token.lower);
        self.words.iter().map(|word| word.to_lowercase()).chain(titles).any(|known| have_same_stem(&known, word))
    }

    /// Whether the word was in the last answer.
    pub fn answer_mentions(&self, word: &str) -> bool {
        self.answer_words.iter().any(|known| have_same_stem(known, word))
    }

    /// Another unit of the same kind as the one in the last question: the last one that the user mentioned, or the twin
    /// of a redundant pair (P-101B for P-101A), or the last one in an answer or a title.
    pub fn sibling(&self) -> Option<Identifier> {
        let current = self.identifiers.first()?;
        let is_sibling = |other: &&Identifier| {
            other.prefix() == current.prefix() && !self.identifiers.iter().any(|id| id.normalized == other.normalized)
        };
        let twin = current.twin().filter(|twin| is_sibling(&twin));
        let shown_twin =
            twin.clone().filter(|twin| self.shown_identifiers.iter().any(|id| id.normalized == twin.normalized));
        let named = self.user_identifiers.iter().rev().find(is_sibling).cloned();
        named.or(shown_twin).or(twin).or_else(|| self.shown_identifiers.iter().rev().find(is_sibling).cloned())
    }

    /// The units that a comparison is about: those of the last question, or its only unit and the
    /// [sibling](Self::sibling).
    pub fn units_to_compare(&self) -> Vec<Identifier> {
        let mut units = self.identifiers.clone();
        if units.len() == 1 {
            units.extend(self.sibling());
        }
        units
    }

    /// The identifiers of the last question as they are written.
    pub fn identifier_texts(&self) -> Vec<String> {
        self.identifiers.iter().map(|identifier| identifier.text.clone()).collect()
    }
}

/// Adds identifiers. Known ones move to the end.
fn add_newest(known: &mut Vec<Identifier>, newer: Vec<Identifier>) {
    for identifier in newer {
        known.retain(|older| older.normalized != identifier.normalized);
        known.push(identifier);
    }
}

/// Whether two words are equal, or share at least four letters and differ only in an ending of up to two letters.
fn have_same_stem(a: &str, b: &str) -> bool {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let longest = a.chars().count().max(b.chars().count());
    a == b || (common >= 4 && longest - common <= 2)
}
