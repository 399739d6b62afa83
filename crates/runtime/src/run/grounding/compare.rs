//! Compares the contents of two texts.

use super::content::{Content, Polarity};
use super::lexicon::Side;
use super::quantities::Quantity;
use super::words::PLACE_MARK;
use std::collections::HashSet;

/// Minimum length, in bytes, of a word that is recognized as a part of a longer one (German compounds).
const MIN_COMPOUND_PART: usize = 5;
/// Weight of a word that only a clause before in the same sentence has.
const WORD_OF_SENTENCE: f64 = 0.5;
/// Weight of a word that only a sentence before in the same paragraph has.
const WORD_OF_PARAGRAPH: f64 = 0.3;
/// Weight of an identifier that only a sentence before has.
const IMPLIED_NAME: f64 = 0.8;
/// The result of comparing two texts.
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

impl Content {
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
pub(super) fn is_same_kind(a: &str, b: &str) -> bool {
    let (a, b) = (kind(a), kind(b));
    a == b || (a.len().min(b.len()) >= 3 && (a.starts_with(b) || b.starts_with(a)))
}

/// The letters before the first digit of an identifier.
fn kind(identifier: &str) -> &str {
    identifier.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
}

fn share(found: impl Iterator<Item = bool>) -> f64 {
    let (mut count, mut all) = (0_u16, 0_u16);
    for is_found in found {
        all = all.saturating_add(1);
        count = count.saturating_add(u16::from(is_found));
    }
    if all == 0 { 1.0 } else { f64::from(count) / f64::from(all) }
}
