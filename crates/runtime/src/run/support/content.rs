//! The content of a text, in a form that can be compared.

use super::lexicon::{LEXICON, Side};
use super::quantities::{Quantity, quantities};
use crate::follow_up::tokens::{Token, TokenKind, identifiers_in, tokens};
use crate::language::Language;
use std::collections::{HashMap, HashSet};

/// Minimum length, in bytes, of a word that is recognized as a part of a longer one (German compounds).
const MIN_COMPOUND_PART: usize = 5;
/// Weight of a word that only a clause before in the same sentence has.
const WORD_OF_SENTENCE: f64 = 0.5;
/// Weight of a word that only a sentence before in the same paragraph has.
const WORD_OF_PARAGRAPH: f64 = 0.3;
/// Weight of an identifier that only a sentence before has.
const IMPLIED_NAME: f64 = 0.8;
/// Spellings, in lower case, that are replaced before words are compared: contractions, words in two parts, and
/// phrases that contain a negation but negate nothing.
const REPLACEMENTS: &[(&str, &str)] = &[
    ("can't", "cannot"),
    ("won't", "will not"),
    ("n't", " not"),
    ("shut down", "shutdown"),
    ("shuts down", "shutdown"),
    ("shutting down", "shutdown"),
    ("start up", "startup"),
    ("start-up", "startup"),
    ("night shift", "nightshift"),
    ("day shift", "dayshift"),
    ("morning shift", "morningshift"),
    ("late shift", "lateshift"),
    ("counter-clockwise", "counterclockwise"),
    ("de-energize", "deenergize"),
    ("gegen den uhrzeigersinn", "gegenuhrzeigersinn"),
    ("straight away", "immediately"),
    ("at once", "immediately"),
    ("not only", "both"),
    ("nicht nur", "sowohl"),
    ("no later", "spätestens"),
    ("pressure drop", "differential pressure"),
    ("at the same time", "simultaneously"),
    ("not-", "not"),
    ("cut-out", "cutout"),
    ("raises an alarm", "alarms"),
    ("raises alarm", "alarms"),
];
/// Words before which `on` is no preposition.
const AFTER_POSITION: &[&str] =
    &["during", "while", "when", "if", "until", "before", "after", "and", "or", "und", "oder", "wenn"];
/// Words that begin a condition.
const CONDITIONS: &[&str] = &[
    "if", "when", "whenever", "while", "unless", "until", "before", "after", "once", "because", "wenn", "falls",
    "sobald", "solange", "während", "bevor", "nachdem", "bis", "weil",
];
/// Nouns that a number after them tells apart.
const PLACES: &[&str] = &[
    "zone", "line", "stage", "phase", "train", "channel", "loop", "area", "unit", "linie", "stufe", "kanal", "straße",
    "bereich", "strang",
];
/// Separates the noun from the number in the name of a place.
const PLACE_MARK: char = '#';
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

/// How much two texts have in common.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SharedSubject {
    total: f64,
    items: f64,
    /// Words of which the second text has the opposite; they are no items.
    opposites: f64,
    /// Whether both name the same equipment.
    has_name: bool,
    /// Whether the second text has hardly any other words.
    is_whole: bool,
}

impl SharedSubject {
    fn add(&mut self, weight: f64) {
        self.total += weight;
        self.items += 1.0;
    }

    /// The share of the first text's words and identifiers that the second one has, 0 to 1.
    pub(super) fn share(self) -> f64 {
        if self.items > 0.0 { self.total / self.items } else { 0.0 }
    }

    /// The same, with the words of which the second text has the opposite.
    pub(super) fn strict_share(self) -> f64 {
        let all = self.items + self.opposites;
        if all > 0.0 { self.total / all } else { 0.0 }
    }

    /// Counts whether the second text has a quantity too.
    pub(super) fn with_quantity(mut self, is_stated: bool) -> Self {
        self.add(if is_stated { 1.0 } else { 0.0 });
        self
    }

    /// Returns whether the texts have more in common than one word.
    pub(super) fn is_specific(self) -> bool {
        self.has_name || self.items >= 2.0 || (self.is_whole && self.total > 0.0)
    }
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
    inherited: HashSet<String>,
    pub quantities: Vec<Quantity>,
    pub language: Option<Language>,
    pub polarity: Polarity,
    /// The sides of the stems that have one.
    sides_of_stems: HashMap<String, Vec<Side>>,
    /// Stems of the clauses before it in the same sentence, which it may leave out.
    stems_before: HashSet<String>,
    /// Stems of the sentences before it in the same paragraph.
    pub stems_of_paragraph: HashSet<String>,
    has_verb: bool,
    /// Whether this is the condition or the time of what another clause says.
    is_condition: bool,
}

impl Content {
    /// Analyzes a text that stands by itself.
    pub(super) fn of(text: &str) -> Self {
        Self::in_language(text, language(text))
    }

    /// Analyzes a part of a text whose language is known.
    pub(super) fn in_language(text: &str, language: Option<Language>) -> Self {
        let plain = plain(text);
        let tokens = tokens(&plain);
        let mut words = words(&tokens);
        replace_ambiguous_verbs(&mut words);
        let mut content = Self {
            stems: HashSet::new(),
            sides: HashSet::new(),
            identifiers: identifiers_in(text).into_iter().map(|identifier| identifier.normalized).collect(),
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
        for word in &words {
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

    /// Returns whether the words cannot be compared.
    pub(super) fn is_in_other_language(&self, other: &Self) -> bool {
        matches!((self.language, other.language), (Some(a), Some(b)) if a != b)
    }

    /// Returns whether the text has a word with this stem, a compound with it, or a quantity that the word names.
    pub(super) fn has_word(&self, stem: &str) -> bool {
        let is_part = |a: &str, b: &str| a.len() >= MIN_COMPOUND_PART && b.contains(a);
        let is_measured = || self.quantities.iter().any(|quantity| quantity.measured().contains(&stem));
        self.stems.contains(stem)
            || is_measured()
            || self.stems.iter().any(|other| is_part(stem, other) || is_part(other, stem))
    }

    pub(super) fn states(&self, quantity: &Quantity) -> bool {
        self.quantities.iter().any(|other| quantity.agrees_with(other))
    }

    /// Returns whether the text has a quantity of the same kind with another value.
    pub(super) fn has_other_than(&self, quantity: &Quantity) -> bool {
        self.quantities.iter().any(|other| quantity.is_comparable_with(other) && !quantity.agrees_with(other))
    }

    /// Returns the identifiers that a text must contain to support this. Places are not among them: they may be rows.
    pub(super) fn required_identifiers(&self) -> impl Iterator<Item = &String> {
        self.identifiers.iter().filter(|identifier| !identifier.contains(PLACE_MARK))
    }

    /// Returns whether the text contains this identifier, or that of its group of redundant units (`P101` for `P101A`).
    pub(super) fn names(&self, identifier: &str) -> bool {
        contains_or_group(&self.identifiers, identifier)
    }

    fn is_about(&self, identifier: &str) -> bool {
        self.names(identifier) || contains_or_group(&self.inherited, identifier)
    }

    /// Returns the share of this text's words that `is_found`, 0 to 1; 1 if there are none.
    pub(super) fn shared_words(&self, is_found: impl Fn(&str) -> bool) -> f64 {
        share(self.stems.iter().map(|stem| is_found(stem)))
    }

    /// Returns how much of what this text is about `other` has. Words are left out if `other` has their opposite, or is
    /// in another language. What `other` only implies counts in part.
    pub(super) fn shared_subject(&self, other: &Self) -> SharedSubject {
        let mut shared = SharedSubject { is_whole: other.stems.len() <= 2, ..SharedSubject::default() };
        for stem in self.stems.iter().filter(|_| !self.is_in_other_language(other)) {
            let sides = self.sides_of_stems.get(stem);
            let is_excluded = |side: &Side| other.sides.iter().any(|known| known.excludes(*side));
            match (other.has_word(stem), sides.is_some_and(|sides| sides.iter().any(is_excluded))) {
                (true, _) => shared.add(1.0),
                (false, true) => shared.opposites += 1.0,
                (false, false) if other.stems_before.contains(stem) => shared.add(WORD_OF_SENTENCE),
                (false, false) if other.stems_of_paragraph.contains(stem) => shared.add(WORD_OF_PARAGRAPH),
                (false, false) => shared.add(0.0),
            }
        }
        for identifier in &self.identifiers {
            let is_implied = contains_or_group(&other.inherited, identifier);
            shared.has_name |= other.is_about(identifier);
            shared.add(if other.names(identifier) {
                1.0
            } else if is_implied {
                IMPLIED_NAME
            } else {
                0.0
            });
        }
        shared
    }

    /// Returns the share of this text's words, identifiers and quantities that `other` has.
    pub(super) fn shared_with(&self, other: &Self) -> f64 {
        let words = self.stems.iter().map(|stem| other.has_word(stem));
        let names = self.identifiers.iter().map(|identifier| other.names(identifier));
        let quantities = self.quantities.iter().map(|quantity| other.states(quantity));
        share(words.chain(names).chain(quantities))
    }

    /// Returns whether this says the opposite of `other`, if both are about the same subject.
    pub(super) fn is_opposite_of(&self, other: &Self) -> bool {
        let polarities = (self.polarity, other.polarity);
        let is_negated =
            matches!(polarities, (Polarity::Affirmed, Polarity::Negated) | (Polarity::Negated, Polarity::Affirmed));
        // What depends on a condition is negated without it.
        let is_own_condition = self.is_condition && !other.is_condition && self.polarity == Polarity::Affirmed;
        let is_negated = is_negated && !is_own_condition;
        let is_known = self.polarity != Polarity::Unknown && other.polarity != Polarity::Unknown;
        is_known && self.excluded_sides(other).next().is_some() != is_negated
    }

    /// Returns whether this claims that something is not so, rather than naming a condition.
    pub(super) fn is_negated_claim(&self) -> bool {
        self.polarity == Polarity::Negated && !self.is_condition && !self.stems.is_empty()
    }

    pub(super) fn has_other_side(&self, other: &Self) -> bool {
        self.excluded_sides(other).next().is_some()
    }

    /// Returns whether this is a limit in the other direction: `at least` for `at most`.
    pub(super) fn has_excluded_limit(&self, other: &Self) -> bool {
        self.excluded_sides(other).any(Side::is_limit)
    }

    /// Returns whether this has a word of one side only where `other` has one of another side only, and neither is
    /// negated.
    pub(super) fn is_excluded_by(&self, other: &Self) -> bool {
        let is_affirmed = self.polarity == Polarity::Affirmed && other.polarity == Polarity::Affirmed;
        is_affirmed && self.excluded_sides(other).next().is_some()
    }

    /// Returns the sides that only this has where only `other` has another one.
    fn excluded_sides<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Side> + 'a {
        let is_only = |content: &Self, side: Side| !content.sides.iter().any(|known| known.excludes(side));
        let is_excluded =
            move |side: Side| other.sides.iter().any(|known| known.excludes(side) && is_only(other, *known));
        self.sides.iter().copied().filter(move |side| is_only(self, *side) && is_excluded(*side))
    }

    /// Returns whether `other` is about other equipment of the same kind: `P-102` where this has `P-101` only.
    pub(super) fn names_other_equipment_than(&self, other: &Self) -> bool {
        let of_other: HashSet<&String> = other.identifiers.iter().chain(&other.inherited).collect();
        self.identifiers.iter().any(|identifier| {
            let is_about_one = self.identifiers.iter().any(|own| is_same_kind(own, identifier) && other.is_about(own));
            !is_about_one && of_other.iter().any(|known| is_same_kind(known, identifier))
        })
    }
}

fn contains_or_group(identifiers: &HashSet<String>, identifier: &str) -> bool {
    let group = identifier.strip_suffix(|c: char| c.is_ascii_alphabetic());
    let group = group.filter(|group| group.ends_with(|c: char| c.is_ascii_digit()));
    identifiers.contains(identifier) || group.is_some_and(|group| identifiers.contains(group))
}

/// Returns whether identifiers have the same letters, or those of one measurement (`LAH`, `LAHH`).
fn is_same_kind(a: &str, b: &str) -> bool {
    let (a, b) = (kind(a), kind(b));
    a == b || (a.len().min(b.len()) >= 3 && (a.starts_with(b) || b.starts_with(a)))
}

/// The letters before the first digit of an identifier.
fn kind(identifier: &str) -> &str {
    identifier.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
}

/// Returns the language of a text; `None` if it is not clear.
pub(super) fn language(text: &str) -> Option<Language> {
    let plain = plain(text);
    let tokens = tokens(&plain);
    let words = words(&tokens);
    LEXICON.language(words.iter().copied())
}

fn plain(text: &str) -> String {
    let lower = text.to_lowercase().replace('’', "'");
    REPLACEMENTS.iter().fold(lower, |text, (from, to)| if text.contains(from) { text.replace(from, to) } else { text })
}

fn words(tokens: &[Token]) -> Vec<&str> {
    let words = tokens.iter().filter(|token| token.kind == TokenKind::Word);
    words.flat_map(|token| token.lower.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).collect()
}

/// Makes `stop unloading` a negation, and tells the verb `lower` from the adjective.
fn replace_ambiguous_verbs(words: &mut [&str]) {
    if let Some(first) = words.first_mut().filter(|first| **first == "lower") {
        *first = "reduce";
    }
    for at in 1..words.len() {
        if ["stop", "avoid", "refrain"].contains(&words[at - 1]) && words[at].ends_with("ing") {
            words[at - 1] = "not";
        }
    }
}

/// Returns whether a word that is mostly a preposition or an article stands for a position: at the end, before another
/// preposition, or in capitals.
fn is_position(text: &str, word: &str) -> bool {
    if !LEXICON.is_position(word) {
        return false;
    }
    let written: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    written.iter().enumerate().any(|(at, found)| {
        let next = written.get(at + 1);
        let ends = next.is_none_or(|next| AFTER_POSITION.contains(&next.to_lowercase().as_str()));
        (found.to_lowercase() == word && ends) || (found.len() > 1 && *found == word.to_uppercase())
    })
}

/// Returns the numbered places in a text, such as `zone 1`, in the form of identifiers.
fn places(tokens: &[Token]) -> impl Iterator<Item = String> + '_ {
    tokens.windows(2).filter_map(|pair| {
        let is_place = PLACES.contains(&pair[0].lower.as_str()) && pair[1].lower.bytes().all(|b| b.is_ascii_digit());
        is_place.then(|| format!("{}{PLACE_MARK}{}", pair[0].lower, pair[1].lower))
    })
}

fn share(found: impl Iterator<Item = bool>) -> f64 {
    let (mut count, mut all) = (0_u16, 0_u16);
    for is_found in found {
        all = all.saturating_add(1);
        count = count.saturating_add(u16::from(is_found));
    }
    if all == 0 { 1.0 } else { f64::from(count) / f64::from(all) }
}
