//! Finds what a sentence says to be first: a step before another one, or a condition before what follows from it.

use super::content::Content;
use crate::language::Language;

/// Words before what comes first.
const AFTER: &[&str] = &["after", "once", "if", "when", "nachdem", "wenn", "falls", "sobald", "nach"];
/// Words before what comes later.
const BEFORE: &[&str] = &["before", "until", "bevor", "bis", "vor"];
/// Words among these that only a negation makes an order: `do not open it until it is cool`.
const UNTIL: &[&str] = &["until", "bis"];
/// Words before what comes later, in the main clause.
const THEN: &[&str] = &["then", "afterwards", "subsequently", "dann", "danach", "anschließend"];
/// German prepositions among these, which a noun follows.
const PREPOSITIONS: &[&str] = &["nach", "vor"];
/// Verbs that end the phrase at the beginning of a sentence: `Vor dem Öffnen ist …`.
const VERBS: &[&str] =
    &["ist", "sind", "muss", "müssen", "darf", "dürfen", "wird", "werden", "soll", "is", "are", "must"];
/// Maximum number of orders in a sentence; the rest of a longer one is not read for them.
const MAX_ORDERS: usize = 4;
/// Minimum share of the words of each half that the other half of the other order has.
const MIN_SWAPPED: f64 = 0.3;
/// By how much these shares together must exceed those in the same order.
const MIN_LEAD: f64 = 0.5;
/// Minimum share of the words of half a sentence in a step that it describes.
const SAME_STEP: f64 = 0.6;

/// Two parts of a sentence, of which one comes first.
pub(super) struct Order {
    first: Content,
    later: Content,
}

impl Order {
    /// Returns the orders that a sentence states: one for each word such as `before` or `then`.
    pub(super) fn all_of(sentence: &str, language: Option<Language>) -> Vec<Self> {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let connectors = (0..words.len()).filter(|at| is_connector(&plain(words[*at]))).take(MAX_ORDERS);
        connectors.filter_map(|at| Self::at(&words, at, language)).collect()
    }

    /// Returns the order that the word at `at` states.
    fn at(words: &[&str], at: usize, language: Option<Language>) -> Option<Self> {
        let connector = plain(words[at]);
        let is_in = |list: &[&str]| list.contains(&connector.as_str());
        if is_in(THEN) {
            return Self::of_halves(words, clause_start(words, at), language);
        }
        let after = &words[at + 1..];
        let begins_clause = at == 0 || words[at - 1].ends_with([',', ':', ';']);
        let (phrase, rest) = after.split_at(phrase_length(after, begins_clause, is_in(PREPOSITIONS)));
        let main = Content::in_language(&[&words[..at], rest].concat().join(" "), language);
        let mut phrase_content = Content::in_language(&phrase.join(" "), language);
        if phrase_content.stems.is_empty() && phrase_content.identifiers.is_empty() {
            // `Before each use` has no other word.
            phrase_content.stems.extend(phrase.iter().map(|word| plain(word)).filter(|word| is_noun_like(word)));
        }
        let is_negated = words[..at].iter().any(|word| super::lexicon::LEXICON.is_negation(&plain(word)));
        if is_in(UNTIL) && !is_negated {
            // It lasts until then, so neither comes first.
            return None;
        }
        // What must not be done before something is done after it.
        let is_phrase_first = is_in(AFTER) || is_negated;
        if is_phrase_first { Self::new(phrase_content, main) } else { Self::new(main, phrase_content) }
    }

    fn of_halves(words: &[&str], at: usize, language: Option<Language>) -> Option<Self> {
        let (first, later) = words.split_at(at);
        let content = |words: &[&str]| Content::in_language(&words.join(" "), language);
        Self::new(content(first), content(later))
    }

    fn new(first: Content, later: Content) -> Option<Self> {
        (first.has_event() && later.has_event()).then_some(Self { first, later })
    }

    /// Returns whether this is the same as `other` in reverse order.
    pub(super) fn is_reverse_of(&self, other: &Self) -> bool {
        let same = (self.first.shared_with(&other.first), self.later.shared_with(&other.later));
        let swapped = (self.first.shared_with(&other.later), self.later.shared_with(&other.first));
        swapped.0.min(swapped.1) >= MIN_SWAPPED && swapped.0 + swapped.1 > same.0 + same.1 + MIN_LEAD
    }
}

impl Order {
    /// Returns whether these steps, or clauses, come in reverse order.
    pub(super) fn is_reverse_of_steps(&self, steps: &[&Content]) -> bool {
        let best = |half: &Content| {
            let scored = steps.iter().enumerate().map(|(at, step)| (half.shared_with(step), at));
            scored.filter(|(share, _)| *share >= SAME_STEP).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, at)| at)
        };
        matches!((best(&self.first), best(&self.later)), (Some(first), Some(later)) if first > later)
    }
}

fn is_connector(word: &str) -> bool {
    [AFTER, BEFORE, THEN].iter().any(|list| list.contains(&word))
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
        (false, true) => subject_start(after).unwrap_or(comma).min(comma),
        (false, false) => comma,
    }
}

/// Returns where the clause with the word at `at` begins: in German the verb stands before it.
fn clause_start(words: &[&str], at: usize) -> usize {
    let is_break = |index: &usize| {
        ["and", "und"].contains(&plain(words[*index]).as_str()) || words[*index].ends_with([',', ';', '.'])
    };
    (0..at).rev().find(is_break).map_or(at, |index| index + 1)
}

/// Returns where the main clause begins after `Before each shift`, if no comma shows it: at an article that is not part
/// of the phrase.
fn subject_start(after: &[&str]) -> Option<usize> {
    let continues_phrase = |word: &str| {
        let word = plain(word);
        ["in", "of", "on", "at", "for", "with", "to", "from", "up"].contains(&word.as_str()) || word.ends_with("ing")
    };
    let is_article = |at: &usize| ["the", "a", "an", "you"].contains(&plain(after[*at]).as_str());
    (1..after.len()).filter(is_article).find(|at| !continues_phrase(after[at - 1]))
}

/// Returns whether a word in lower case is neither an article nor a number.
fn is_noun_like(word: &str) -> bool {
    word.len() > 2
        && !["the", "each", "every", "der", "die", "das", "dem", "den", "jeder", "jedem", "jede"].contains(&word)
        && word.chars().all(char::is_alphabetic)
        && super::units::unit_named(word).is_none()
}

fn plain(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}
