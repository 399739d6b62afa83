//! Completes a follow-up question from its conversation, so that it can be searched on its own.
//!
//! Pure rules for English and German, without a model: identifiers, topics and documents of the last question are
//! carried over to a question that refers to them ("And which grade?", "Und bei P-720B?", "the other pump"), and
//! dropped when the topic changes. A standalone question is not changed.

mod compose;
mod focus;
mod history;
mod lexicon;
mod question;
pub(crate) mod tokens;

pub use history::earlier_turns;

use compose::{with_carried_words, with_identifiers, with_topic};
use focus::Focus;
use question::{MAX_FOLLOW_UP_CHARS, Question};

/// Maximum number of earlier turns that are read.
const MAX_TURNS: usize = 8;

/// An earlier question of a conversation, with its answer.
#[derive(Clone, Debug, Default)]
pub struct EarlierTurn<'a> {
    pub question: &'a str,
    /// The answer; empty if there is none, or if its classification is too high.
    pub answer: &'a str,
    /// Titles of the documents that the answer cites.
    pub titles: Vec<&'a str>,
}

/// A question in standalone form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedQuestion {
    /// The question with the words that were carried over.
    pub text: String,
    pub kind: QuestionKind,
}

/// How a question depends on the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuestionKind {
    /// It does not depend on the conversation; nothing is carried over.
    Standalone,
    /// It continues the last question, whose words are carried over.
    Continues,
    /// It corrects the last question.
    Corrects,
}

/// Completes `message` from the earlier turns (oldest first).
#[must_use]
pub fn resolve(message: &str, earlier: &[EarlierTurn<'_>]) -> ResolvedQuestion {
    let mut focus = Focus::default();
    for turn in &earlier[earlier.len().saturating_sub(MAX_TURNS)..] {
        let resolved = resolve_in(turn.question, &focus);
        focus.advance(turn, resolved.text);
    }
    resolve_in(message, &focus)
}

/// Whether `question`, a rewritten form of `message`, keeps all identifiers of `message` and adds only identifiers that
/// occur in the `known` texts.
#[must_use]
pub fn keeps_and_adds_only_known_identifiers(question: &str, message: &str, known: &[&str]) -> bool {
    let names = |text: &str| tokens::identifiers_in(text).into_iter().map(|identifier| identifier.normalized);
    let (own, found) = (names(message).collect::<Vec<_>>(), names(question).collect::<Vec<_>>());
    let known: Vec<String> = known.iter().flat_map(|text| names(text)).collect();
    own.iter().all(|name| found.contains(name)) && found.iter().all(|name| own.contains(name) || known.contains(name))
}

fn resolve_in(message: &str, focus: &Focus) -> ResolvedQuestion {
    let question = Question::parse(message);
    let is_long = message.chars().nth(MAX_FOLLOW_UP_CHARS).is_some();
    if is_long || focus.question.is_empty() || question.is_empty() || question.switches_topic() {
        return stands_alone(message);
    }
    if question.corrects() {
        return corrected(message, &question, focus);
    }
    match completed(&question, focus) {
        Some(text) => ResolvedQuestion { text, kind: QuestionKind::Continues },
        None => stands_alone(message),
    }
}

fn stands_alone(message: &str) -> ResolvedQuestion {
    ResolvedQuestion { text: message.to_owned(), kind: QuestionKind::Standalone }
}

/// The last question with its correction, or the corrected question if it is complete.
fn corrected(message: &str, question: &Question, focus: &Focus) -> ResolvedQuestion {
    let kept = compose::without_rejected_words(question);
    let mut correction = Question::parse(&kept);
    if correction.is_empty() && correction.identifiers().is_empty() {
        return stands_alone(message);
    }
    correction.links_to_previous = true;
    let text = completed(&correction, focus).unwrap_or(kept);
    ResolvedQuestion { text, kind: QuestionKind::Corrects }
}

/// The question, completed from the focus; `None` if it is standalone.
fn completed(question: &Question, focus: &Focus) -> Option<String> {
    if !question.identifiers().is_empty() {
        return completed_with_own_identifiers(question, focus);
    }
    if question.compares() && focus.units_to_compare().len() > 1 {
        return Some(with_compared_units(question, focus));
    }
    if let Some((span, sibling)) = question.other_one().zip(focus.sibling()) {
        let text = compose::with_other_one(question, span, &sibling);
        let named = Question::parse(&text);
        return completed_with_own_identifiers(&named, focus).or(Some(text));
    }
    if question.names_known_document() && !focus.titles.is_empty() {
        return Some(with_carried_words(question.body(), &focus.titles[..1]));
    }
    if question.refers_back() {
        return Some(with_referent(question, focus));
    }
    if question.is_fragment() {
        return completed_fragment(question, focus);
    }
    (question.links_to_previous || refers_to_known_word(question, focus)).then(|| with_subject(question, focus))
}

/// Completes a question that contains identifiers. If it contains nothing else, they replace those of the last
/// question.
fn completed_with_own_identifiers(question: &Question, focus: &Focus) -> Option<String> {
    let (content, own) = (question.content(), question.identifiers());
    if content.is_empty() {
        return Some(with_identifiers(&focus.question, &own));
    }
    if question.links_to_previous && !question.has_verb() && !question.begins_with_interrogative() {
        let other = with_identifiers(&focus.question, &own);
        return Some(with_topic(&other, &compose::phrase(question, &content), focus.capitalizes));
    }
    if question.asks_for_sameness() {
        return Some(with_carried_words(question.body(), &focus.topics));
    }
    question.refers_back().then(|| with_carried_words(question.body(), &focus.identifier_texts()))
}

/// Adds the units that are compared, and their topic if the question names none.
fn with_compared_units(question: &Question, focus: &Focus) -> String {
    let units = focus.units_to_compare().into_iter().map(|unit| unit.text);
    let max_own_topics = usize::from(question.asks_for_difference());
    let topics = if question.topics().len() <= max_own_topics { &focus.topics[..] } else { &[] };
    with_carried_words(question.body(), &units.chain(topics.iter().cloned()).collect::<Vec<_>>())
}

/// Adds what the question's pronouns refer to.
fn with_referent(question: &Question, focus: &Focus) -> String {
    if question.content().is_empty() && (question.refers_to_statement() || focus.topics.is_empty()) {
        return with_whole_question(question, focus);
    }
    let mut carried = focus.identifier_texts();
    if carried.is_empty() || question.refers_to_topic() {
        carried.splice(0..0, focus.topics.iter().cloned());
    }
    if carried.is_empty() {
        carried.extend(focus.titles.first().cloned());
    }
    with_carried_words(question.body(), &carried)
}

/// Completes a sentence fragment; `None` if it is about a new topic.
fn completed_fragment(question: &Question, focus: &Focus) -> Option<String> {
    let content = question.content();
    if content.is_empty() {
        return Some(with_whole_question(question, focus));
    }
    if question.begins_with_interrogative() {
        let carried: Vec<String> = focus.topics.iter().cloned().chain(focus.identifier_texts()).collect();
        return Some(with_carried_words(question.body(), &carried));
    }
    if question.begins_with(lexicon::CIRCUMSTANCE_PREPOSITIONS) && question.links_to_previous {
        return Some(with_carried_words(&focus.question, &[question.body().to_owned()]));
    }
    if question.links_to_previous {
        return Some(with_topic(&focus.question, &compose::phrase(question, &content), focus.capitalizes));
    }
    let is_known = content.iter().any(|token| focus.mentions(&token.lower));
    is_known.then(|| with_subject(question, focus))
}

/// Adds all content words and identifiers of the last question.
fn with_whole_question(question: &Question, focus: &Focus) -> String {
    let carried: Vec<String> = focus.words.iter().cloned().chain(focus.identifier_texts()).collect();
    with_carried_words(question.body(), &carried)
}

/// Adds the equipment that the last question is about, or its topic.
fn with_subject(question: &Question, focus: &Focus) -> String {
    let identifiers = focus.identifier_texts();
    with_carried_words(question.body(), if identifiers.is_empty() { &focus.topics } else { &identifiers })
}

/// Whether a word after a definite article ("the pump") occurs in the last question, in the titles that its answer
/// cites or, if the question is short, in that answer.
fn refers_to_known_word(question: &Question, focus: &Focus) -> bool {
    let is_short = question.content().len() <= 2;
    let mut words = question.definite_words();
    words.any(|token| focus.mentions(&token.lower) || (is_short && focus.answer_mentions(&token.lower)))
}

#[cfg(test)]
mod dialogues;
#[cfg(test)]
mod tests;
