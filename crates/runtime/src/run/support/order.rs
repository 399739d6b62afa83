//! Finds what a sentence says to be first: a step before another one, or a condition before what follows from it.

use super::content::Content;
use crate::language::Language;

/// Words before what comes first.
const AFTER: &[&str] = &["after", "once", "if", "when", "nachdem", "wenn", "falls", "sobald", "nach"];
/// Words before what comes later.
const BEFORE: &[&str] = &["before", "until", "bevor", "bis", "vor"];
/// Words before what comes later, in the main clause.
const THEN: &[&str] = &["then", "afterwards", "subsequently", "dann", "danach", "anschließend"];
/// German prepositions among these, which a noun follows.
const PREPOSITIONS: &[&str] = &["nach", "vor"];
/// Verbs that end the phrase at the beginning of a sentence: `Vor dem Öffnen ist …`.
const VERBS: &[&str] =
    &["ist", "sind", "muss", "müssen", "darf", "dürfen", "wird", "werden", "soll", "is", "are", "must"];
/// Minimum share of the words that both halves have in common with the other's opposite halves.
const MIN_SWAPPED: f64 = 0.5;

/// Minimum share of the words of half a sentence in a step that it describes.
const SAME_STEP: f64 = 0.6;

/// Two parts of a sentence, of which one comes first.
pub(super) struct Order {
    first: Content,
    later: Content,
}

impl Order {
    /// Returns the order that a sentence states, if it states one.
    pub(super) fn of(sentence: &str, language: Option<Language>) -> Option<Self> {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let is_word = |word: &str, list: &[&str]| list.contains(&plain(word).as_str());
        let at = words.iter().position(|word| [AFTER, BEFORE, THEN].iter().any(|list| is_word(word, list)))?;
        let connector = words[at];
        let after = &words[at + 1..];
        let length = phrase_length(after, at == 0, is_word(connector, PREPOSITIONS));
        let (phrase, rest) = after.split_at(length);
        let main = Content::in_language(&[&words[..at], rest].concat().join(" "), language);
        let phrase = Content::in_language(&phrase.join(" "), language);
        if main.is_empty() || phrase.is_empty() {
            return None;
        }
        let is_negated = words[..at].iter().any(|word| super::lexicon::LEXICON.is_negation(&plain(word)));
        // What must not be done before something is done after it.
        let is_phrase_first = is_word(connector, AFTER) || (is_word(connector, BEFORE) && is_negated);
        let (first, later) = if is_phrase_first { (phrase, main) } else { (main, phrase) };
        Some(Self { first, later })
    }

    /// Returns whether this is the same as `other` in reverse order.
    pub(super) fn is_reverse_of(&self, other: &Self) -> bool {
        let same = (self.first.shared_with(&other.first), self.later.shared_with(&other.later));
        let swapped = (self.first.shared_with(&other.later), self.later.shared_with(&other.first));
        swapped.0.min(swapped.1) >= MIN_SWAPPED && swapped.0 + swapped.1 > same.0 + same.1 + MIN_SWAPPED
    }
}

impl Order {
    /// Returns whether a numbered list has the steps in reverse order.
    pub(super) fn is_reverse_of_steps(&self, steps: &[Step<'_>]) -> bool {
        let best = |half: &Content| {
            let scored = steps.iter().map(|step| (half.shared_with(step.content), step.number));
            scored.filter(|(share, _)| *share >= SAME_STEP).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, number)| number)
        };
        matches!((best(&self.first), best(&self.later)), (Some(first), Some(later)) if first > later)
    }
}

/// One step of a numbered list.
pub(super) struct Step<'c> {
    pub number: u32,
    pub content: &'c Content,
}

/// Returns the number of words that belong to a connector before them.
fn phrase_length(after: &[&str], is_at_start: bool, is_preposition: bool) -> usize {
    let comma = after.iter().position(|word| word.ends_with(',')).map_or(after.len(), |at| at + 1);
    let verb = after.iter().position(|word| VERBS.contains(&plain(word).as_str()));
    let is_noun = |word: &&str| word.starts_with(char::is_uppercase);
    let is_genitive = |word: &&str| ["der", "des", "von"].contains(word);
    let first_noun = after.iter().position(is_noun).map_or(after.len(), |at| at + 1);
    let has_genitive = after.get(first_noun).is_some_and(is_genitive);
    let noun = if has_genitive { (first_noun + 2).min(after.len()) } else { first_noun };
    match (is_preposition, is_at_start) {
        (true, true) => verb.unwrap_or(comma).min(comma),
        (true, false) => noun.min(comma),
        (false, _) => comma,
    }
}

fn plain(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}
