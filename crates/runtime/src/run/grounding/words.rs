//! Prepares the words of a text, so that they can be looked up.

use super::lexicon::LEXICON;
use crate::follow_up::tokens::{Token, TokenKind};

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
/// Words before which `on` is not a preposition.
const AFTER_POSITION: &[&str] =
    &["during", "while", "when", "if", "until", "before", "after", "and", "or", "und", "oder", "wenn"];
/// Nouns that are distinguished by a number after them.
const PLACES: &[&str] = &[
    "zone", "line", "stage", "phase", "train", "channel", "loop", "area", "unit", "linie", "stufe", "kanal", "straße",
    "bereich", "strang",
];
/// Separates the noun from the number in the name of a place.
pub(super) const PLACE_MARK: char = '#';

/// Returns a text in lower case, with its [`REPLACEMENTS`].
pub(super) fn plain(text: &str) -> String {
    let lower = text.to_lowercase().replace('’', "'");
    REPLACEMENTS.iter().fold(lower, |text, (from, to)| if text.contains(from) { text.replace(from, to) } else { text })
}

pub(super) fn words<'t>(tokens: &'t [Token<'_>]) -> Vec<&'t str> {
    let words = tokens.iter().filter(|token| token.kind == TokenKind::Word);
    words.flat_map(|token| token.lower.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).collect()
}

/// Makes `stop unloading` a negation, and distinguishes the verb `lower` from the adjective.
pub(super) fn replace_ambiguous_verbs(words: &mut [&str]) {
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
pub(super) fn is_position(text: &str, word: &str) -> bool {
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
pub(super) fn places(tokens: &[Token<'_>]) -> impl Iterator<Item = String> {
    tokens.windows(2).filter_map(|pair| {
        let is_place = PLACES.contains(&&*pair[0].lower) && pair[1].lower.bytes().all(|b| b.is_ascii_digit());
        is_place.then(|| format!("{}{PLACE_MARK}{}", pair[0].lower, pair[1].lower))
    })
}
