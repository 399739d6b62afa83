//! The content of a text, in a form that can be compared.

use super::compare::is_same_kind;
use super::lexicon::{LEXICON, Side};
use super::quantities::{Quantity, quantities};
use super::words::{is_position, places, plain, replace_ambiguous_verbs, words};
use crate::follow_up::tokens::{identifiers, identifiers_in, tokens};
use crate::language::Language;
use std::collections::{HashMap, HashSet};

/// Words that begin a condition.
const CONDITIONS: &[&str] = &[
    "if", "when", "whenever", "while", "unless", "until", "before", "after", "once", "because", "wenn", "falls",
    "sobald", "solange", "während", "bevor", "nachdem", "bis", "weil",
];
/// Verbs without which a part of a sentence continues the part before it.
const FINITE_VERBS: &[&str] = &[
    "is", "are", "must", "may", "can", "shall", "should", "will", "has", "have", "do", "does", "ist", "sind", "muss",
    "müssen", "darf", "dürfen", "soll", "sollen", "kann", "können", "wird", "werden", "hat", "haben",
];

/// Whether a text negates what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Polarity {
    Affirmed,
    Negated,
    /// The rest of a negated sentence, which the negation may or may not include.
    Unknown,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Stems of the words that carry meaning, without the words for limits.
    pub stems: HashSet<String>,
    /// Sides of groups of words that exclude each other, such as open and closed.
    pub sides: HashSet<Side>,
    pub identifiers: HashSet<String>,
    /// Identifiers that were named before and that this is probably about.
    pub inherited: HashSet<String>,
    pub quantities: Vec<Quantity>,
    pub language: Option<Language>,
    pub polarity: Polarity,
    /// The sides of the stems that have one.
    pub sides_of_stems: HashMap<String, Vec<Side>>,
    /// Stems of the clauses before it in the same sentence, which it may leave out.
    pub stems_before: HashSet<String>,
    /// Stems of the sentences before it in the same paragraph.
    pub stems_of_paragraph: HashSet<String>,
    has_verb: bool,
    /// Whether this is the condition or the time of what another clause says.
    pub is_condition: bool,
}

impl Content {
    /// Analyzes a text that stands by itself.
    pub(super) fn of(text: &str) -> Self {
        Self::analyze(text, |words| LEXICON.language(words.iter().copied()))
    }

    /// Analyzes a part of a text whose language is known.
    pub(super) fn in_language(text: &str, language: Option<Language>) -> Self {
        Self::analyze(text, |_| language)
    }

    fn analyze(text: &str, language: impl FnOnce(&[&str]) -> Option<Language>) -> Self {
        let plain = plain(text);
        let tokens = tokens(&plain);
        let mut words = words(&tokens);
        let language = language(&words);
        replace_ambiguous_verbs(&mut words);
        let mut content = Self {
            stems: HashSet::new(),
            sides: HashSet::new(),
            identifiers: tokens.iter().flat_map(identifiers).map(|identifier| identifier.normalized).collect(),
            inherited: HashSet::new(),
            quantities: quantities(text),
            language,
            polarity: Polarity::Affirmed,
            sides_of_stems: HashMap::new(),
            stems_before: HashSet::new(),
            stems_of_paragraph: HashSet::new(),
            has_verb: words.iter().any(|word| FINITE_VERBS.contains(word)),
            is_condition: words.first().is_some_and(|word| CONDITIONS.contains(word)),
        };
        content.identifiers.extend(places(&tokens));
        for word in words.iter().collect::<HashSet<_>>() {
            content.add_word(word, is_position(text, word));
        }
        content.set_polarity(&plain, &words);
        content
    }

    fn add_word(&mut self, word: &str, is_position: bool) {
        let is_single_letter = word.chars().nth(1).is_none();
        if is_single_letter || (LEXICON.is_position(word) && !is_position) {
            return;
        }
        let is_function_word = LEXICON.is_function_word(word, self.language) && !is_position;
        if is_function_word && !LEXICON.has_meaning(word) {
            return;
        }
        let meaning = LEXICON.meaning(word, self.language);
        let is_limit = meaning.sides.iter().any(|side| side.is_limit());
        self.sides.extend(&meaning.sides);
        if is_limit || is_function_word || LEXICON.is_negation(word) {
            return;
        }
        if !meaning.sides.is_empty() {
            self.sides_of_stems.insert(meaning.stem.clone(), meaning.sides);
        }
        self.stems.insert(meaning.stem);
    }

    /// A negated limit is the other limit (`not above 5 bar` is `at most 5 bar`), and two negations are none.
    fn set_polarity(&mut self, plain: &str, words: &[&str]) {
        let mut negations = words.iter().filter(|word| LEXICON.is_negation(word)).count();
        let has_limit = self.sides.iter().filter(|side| side.is_limit()).count() == 1;
        if negations > 0 && has_limit {
            self.sides = self.sides.iter().map(|side| side.negated()).collect();
            negations -= 1;
        }
        self.polarity = match negations {
            0 => Polarity::Affirmed,
            n if n % 2 == 1 => Polarity::Negated,
            // A relative clause and the main clause may each have one.
            _ if plain.contains(',') => Polarity::Unknown,
            _ => Polarity::Affirmed,
        };
    }

    /// Marks this as the part of a sentence after `previous`, which it may continue.
    pub(super) fn continue_from(&mut self, previous: &Self) {
        self.stems_before = &previous.stems_before | &previous.stems;
        if previous.polarity != Polarity::Affirmed && self.polarity == Polarity::Affirmed && !self.has_verb {
            self.polarity = Polarity::Unknown;
        }
    }

    pub(super) fn add_names_of(&mut self, text: &str) {
        self.identifiers.extend(identifiers_in(text).into_iter().map(|identifier| identifier.normalized));
    }

    /// Leaves open whether this is negated: something after it limits its negation.
    pub(super) fn lift_negation(&mut self) {
        if self.polarity == Polarity::Negated {
            self.polarity = Polarity::Unknown;
        }
    }

    /// Adds the equipment that was named before and is not named anew.
    pub(super) fn inherit(&mut self, context: &HashSet<String>) {
        let is_new = |known: &&String| !self.identifiers.iter().any(|identifier| is_same_kind(known, identifier));
        self.inherited = context.iter().filter(is_new).cloned().collect();
    }

    /// Replaces the equipment that was named before by what this names of the same kind.
    pub(super) fn remember_in(&self, context: &mut HashSet<String>) {
        context.retain(|known| !self.identifiers.iter().any(|identifier| is_same_kind(known, identifier)));
        context.extend(self.identifiers.iter().cloned());
    }

    /// Returns whether this says too little to be compared by itself.
    pub(super) fn is_short(&self) -> bool {
        let words = self.stems.len() + self.identifiers.len();
        words == 0 || words + self.quantities.len() < 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stems.is_empty() && self.identifiers.is_empty() && self.quantities.is_empty()
    }

    /// Returns whether this can come before something else: `after 5 minutes` is no event.
    pub(super) fn has_event(&self) -> bool {
        !self.stems.is_empty() || !self.identifiers.is_empty() || self.quantities.iter().any(Quantity::is_implied)
    }

    pub(super) fn has_number_or_name(&self) -> bool {
        !self.quantities.is_empty() || self.required_identifiers().next().is_some()
    }

    /// Returns whether there is nothing to check: at most one meaningful word, and no number or identifier.
    pub(super) fn is_trivial(&self) -> bool {
        self.stems.len() < 2 && self.quantities.is_empty() && self.identifiers.is_empty()
    }
}

/// Returns the language of a text; `None` if it is not clear.
pub(super) fn language(text: &str) -> Option<Language> {
    let plain = plain(text);
    let tokens = tokens(&plain);
    let words = words(&tokens);
    LEXICON.language(words.iter().copied())
}
