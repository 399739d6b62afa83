//! Tracks what a conversation is about, turn by turn.

use super::EarlierTurn;
use super::question::{Question, first_chars, is_content_token, topics};
use super::tokens::{Identifier, Token, identifiers_in, lower_case, tokens};

/// Maximum number of characters of an answer that are read.
const MAX_ANSWER_CHARS: usize = 2_000;
/// Maximum number of words that are carried over from a question.
const MAX_TOPICS: usize = 6;

/// The last question in standalone form, and what was mentioned up to it.
#[derive(Clone, Debug, Default)]
pub struct DialogueState<'a> {
    /// The last question in standalone form; empty before the first one.
    pub question: String,
    /// Identifiers in that question.
    pub identifiers: Vec<Identifier>,
    /// Whether the last question starts with a capital letter. If so, the user's capitalization marks German nouns.
    pub user_capitalizes_nouns: bool,
    /// What that question is about besides its identifiers.
    pub topics: Vec<String>,
    /// All content words of that question, its verbs among them.
    pub words: Vec<String>,
    /// Titles of the documents that its answer cites.
    pub titles: Vec<String>,
    /// Identifiers that the user has mentioned, newest last.
    user_identifiers: Vec<Identifier>,
    /// Titles and answers, newest last. They are long and few questions need them, so they are parsed on demand.
    shown_texts: Vec<&'a str>,
    last_answer: &'a str,
}

impl<'a> DialogueState<'a> {
    /// Advances to the next turn, whose question in standalone form is `resolved`.
    pub fn advance(&mut self, turn: &EarlierTurn<'a>, resolved: &str) {
        let resolved = Question::parse(resolved).without_announcement().to_owned();
        let words = tokens(&resolved);
        let texts = |tokens: Vec<&Token<'_>>| {
            let mut texts: Vec<String> = Vec::new();
            for token in tokens {
                if !texts.iter().any(|known| lower_case(known) == token.lower) && texts.len() < MAX_TOPICS {
                    texts.push(token.text.to_owned());
                }
            }
            texts
        };
        self.user_capitalizes_nouns = turn.question.starts_with(char::is_uppercase);
        self.topics = texts(topics(&words, self.user_capitalizes_nouns));
        self.words = texts(words.iter().filter(|token| is_content_token(token)).collect());
        self.identifiers = identifiers_in(&resolved);
        self.question = resolved;
        self.titles = turn.titles.iter().map(|title| (*title).to_owned()).collect();
        self.last_answer = first_chars(turn.answer, MAX_ANSWER_CHARS);
        self.shown_texts.extend(turn.titles.iter().copied().chain([self.last_answer]));
        add_newest(&mut self.user_identifiers, self.identifiers.clone());
    }

    /// Whether the word was in the last question or in the titles that its answer cites.
    pub fn mentions(&self, word: &str) -> bool {
        let titles = self.titles.iter().flat_map(|title| tokens(title)).map(|token| token.lower);
        self.words.iter().map(|word| lower_case(word)).chain(titles).any(|known| have_same_stem(&known, word))
    }

    /// Whether the word was in the last answer.
    pub fn answer_mentions(&self, word: &str) -> bool {
        let words = tokens(self.last_answer).into_iter().filter(is_content_token);
        words.into_iter().any(|known| have_same_stem(&known.lower, word))
    }

    /// Identifiers in answers and titles, newest last.
    fn shown_identifiers(&self) -> Vec<Identifier> {
        let mut found = Vec::new();
        for text in &self.shown_texts {
            add_newest(&mut found, identifiers_in(text));
        }
        found
    }

    /// Other equipment of the same kind as that in the last question: the last one that the user mentioned, or the twin
    /// of a redundant pair (P-101B for P-101A), or the last one in an answer or a title.
    pub fn other_equipment_of_same_kind(&self) -> Option<Identifier> {
        let current = self.identifiers.first()?;
        let is_other_of_same_kind = |other: &&Identifier| {
            other.prefix() == current.prefix() && !self.identifiers.iter().any(|id| id.normalized == other.normalized)
        };
        let twin = current.twin().filter(|twin| is_other_of_same_kind(&twin));
        let named = self.user_identifiers.iter().rev().find(is_other_of_same_kind).cloned();
        named.or(twin).or_else(|| self.shown_identifiers().iter().rev().find(is_other_of_same_kind).cloned())
    }

    /// The identifiers of the equipment that is compared: those of the last question; if it has only one, also
    /// [the other of the same kind](Self::other_equipment_of_same_kind).
    pub fn identifiers_to_compare(&self) -> Vec<Identifier> {
        let mut identifiers = self.identifiers.clone();
        if identifiers.len() == 1 {
            identifiers.extend(self.other_equipment_of_same_kind());
        }
        identifiers
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
