//! Rewrites a follow-up question as a standalone question that can be used as a search query.
//!
//! Pure rules for English and German, without a model: identifiers, topics and documents of the last question are
//! carried over to a question that refers to them ("And which grade?", "Und bei P-720B?", "the other pump"), and
//! dropped when the topic changes. A standalone question is not changed.

mod compose;
mod dialogue_state;
mod history;
mod lexicon;
mod question;
pub(crate) mod tokens;

pub use history::earlier_turns;

use compose::{with_carried_words, with_identifiers, with_topic};
use dialogue_state::DialogueState;
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

impl ResolvedQuestion {
    fn standalone(message: &str) -> Self {
        Self { text: message.to_owned(), kind: QuestionKind::Standalone }
    }
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
    let mut state = DialogueState::default();
    for turn in &earlier[earlier.len().saturating_sub(MAX_TURNS)..] {
        let question = Question::parse(turn.question);
        if !question.has_nothing_to_search() {
            let resolved = resolve_in(turn.question, &question, &state);
            state.advance(turn, &resolved.text);
        }
    }
    resolve_in(message, &Question::parse(message), &state)
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

fn resolve_in(message: &str, question: &Question<'_>, state: &DialogueState<'_>) -> ResolvedQuestion {
    let is_long = message.chars().nth(MAX_FOLLOW_UP_CHARS).is_some();
    if is_long || state.question.is_empty() || question.has_nothing_to_search() || question.switches_topic() {
        return ResolvedQuestion::standalone(message);
    }
    if question.corrects() {
        return corrected(message, question, state);
    }
    match completed(question, state) {
        Some(text) => ResolvedQuestion { text, kind: QuestionKind::Continues },
        None => ResolvedQuestion::standalone(message),
    }
}

/// The last question with its correction, or the corrected question if it is complete.
fn corrected(message: &str, question: &Question<'_>, state: &DialogueState<'_>) -> ResolvedQuestion {
    let kept = compose::without_rejected_words(question);
    let mut correction = Question::parse(&kept);
    if correction.has_nothing_to_search() && correction.identifiers().is_empty() {
        return ResolvedQuestion::standalone(message);
    }
    correction.starts_with_connective = true;
    let text = completed(&correction, state).unwrap_or(kept);
    ResolvedQuestion { text, kind: QuestionKind::Corrects }
}

/// The question, completed from the dialogue state; `None` if it is standalone.
fn completed(question: &Question<'_>, state: &DialogueState<'_>) -> Option<String> {
    if !question.identifiers().is_empty() {
        return completed_with_own_identifiers(question, state);
    }
    if question.compares() && state.identifiers_to_compare().len() > 1 {
        return Some(with_compared_identifiers(question, state));
    }
    if let Some((span, other)) = question.other_reference_span().zip(state.other_equipment_of_same_kind()) {
        let text = compose::replace_other_reference(question, span, &other);
        let named = Question::parse(&text);
        return completed_with_own_identifiers(&named, state).or(Some(text));
    }
    if question.refers_to_document() && !state.titles.is_empty() {
        return Some(with_carried_words(question.text_without_opener(), &state.titles[..1]));
    }
    if question.has_anaphora() {
        return Some(with_referent(question, state));
    }
    if question.is_fragment() {
        return completed_fragment(question, state);
    }
    (question.starts_with_connective || refers_to_known_word(question, state)).then(|| with_subject(question, state))
}

/// Completes a question that contains identifiers. If it contains nothing else, they replace those of the last
/// question.
fn completed_with_own_identifiers(question: &Question<'_>, state: &DialogueState<'_>) -> Option<String> {
    let (content, own) = (question.content_words(), question.identifiers());
    if content.is_empty() {
        return Some(with_identifiers(&state.question, &own));
    }
    if question.starts_with_connective && !question.has_verb() && !question.begins_with_interrogative() {
        let last_question = with_identifiers(&state.question, &own);
        return Some(with_topic(
            &last_question,
            &compose::content_phrase(question, &content),
            state.user_capitalizes_nouns,
        ));
    }
    if question.asks_if_same_applies() {
        return Some(with_carried_words(question.text_without_opener(), &state.topics));
    }
    question.has_anaphora().then(|| with_carried_words(question.text_without_opener(), &state.identifier_texts()))
}

/// Adds the identifiers of the equipment that is compared, and its topic if the question names none.
fn with_compared_identifiers(question: &Question<'_>, state: &DialogueState<'_>) -> String {
    let identifiers = state.identifiers_to_compare().into_iter().map(|identifier| identifier.text);
    let max_own_topics = usize::from(question.asks_for_difference());
    let topics = if question.topics().len() <= max_own_topics { &state.topics[..] } else { &[] };
    with_carried_words(question.text_without_opener(), &identifiers.chain(topics.iter().cloned()).collect::<Vec<_>>())
}

/// Adds what the question's pronouns refer to.
fn with_referent(question: &Question<'_>, state: &DialogueState<'_>) -> String {
    if question.content_words().is_empty() && (question.has_pronoun_for_statement() || state.topics.is_empty()) {
        return with_whole_question(question, state);
    }
    let mut carried = state.identifier_texts();
    if carried.is_empty() || question.has_pronoun_for_topic() {
        carried.splice(0..0, state.topics.iter().cloned());
    }
    if carried.is_empty() {
        carried.extend(state.titles.first().cloned());
    }
    with_carried_words(question.text_without_opener(), &carried)
}

/// Completes a sentence fragment; `None` if it is about a new topic.
fn completed_fragment(question: &Question<'_>, state: &DialogueState<'_>) -> Option<String> {
    let content = question.content_words();
    if content.is_empty() {
        return Some(with_whole_question(question, state));
    }
    if question.begins_with_interrogative() {
        let carried: Vec<String> = state.topics.iter().cloned().chain(state.identifier_texts()).collect();
        return Some(with_carried_words(question.text_without_opener(), &carried));
    }
    if question.begins_with(lexicon::ADVERBIAL_OPENERS) && question.starts_with_connective {
        return Some(with_carried_words(&state.question, &[question.text_without_opener().to_owned()]));
    }
    if question.starts_with_connective {
        return Some(with_topic(
            &state.question,
            &compose::content_phrase(question, &content),
            state.user_capitalizes_nouns,
        ));
    }
    let is_known = content.iter().any(|token| state.mentions(&token.lower));
    is_known.then(|| with_subject(question, state))
}

/// Adds all content words and identifiers of the last question.
fn with_whole_question(question: &Question<'_>, state: &DialogueState<'_>) -> String {
    let carried: Vec<String> = state.words.iter().cloned().chain(state.identifier_texts()).collect();
    with_carried_words(question.text_without_opener(), &carried)
}

/// Adds the equipment that the last question is about, or its topic.
fn with_subject(question: &Question<'_>, state: &DialogueState<'_>) -> String {
    let identifiers = state.identifier_texts();
    with_carried_words(
        question.text_without_opener(),
        if identifiers.is_empty() { &state.topics } else { &identifiers },
    )
}

/// Whether a word after a definite article ("the pump") occurs in the last question, in the titles that its answer
/// cites or, if the question is short, in that answer.
fn refers_to_known_word(question: &Question<'_>, state: &DialogueState<'_>) -> bool {
    let is_short = question.content_words().len() <= 2;
    let mut words = question.definite_words();
    words.any(|token| state.mentions(&token.lower) || (is_short && state.answer_mentions(&token.lower)))
}

#[cfg(test)]
mod dialogues;
#[cfg(test)]
mod tests;
