//! Finds how often something is done, where the text does not say it as a number with a unit: `weekly`, `once a year`,
//! `twice per shift`, `jeden Monat`.

use super::units::{Unit, number_named, unit_named};
use crate::follow_up::tokens::lower_case;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// Adverbs and adjectives of time, each with the number of units of its period.
const PERIOD_WORDS: &[(&str, f64, &str)] = &[
    ("hour", 1.0, "hourly stündlich"),
    ("day", 1.0, "daily täglich"),
    ("week", 1.0, "weekly wöchentlich"),
    ("week", 2.0, "fortnightly fortnight"),
    ("month", 1.0, "monthly monatlich"),
    ("month", 3.0, "quarterly vierteljährlich quartalsweise quartalsmäßig"),
    ("month", 6.0, "semiannually semiannual biannually biannual half-yearly semi-annually halbjährlich half-year"),
    ("year", 1.0, "yearly annually annual jährlich"),
];
static BY_WORD: LazyLock<HashMap<&str, (f64, &Unit)>> = LazyLock::new(|| {
    let words = PERIOD_WORDS.iter().filter_map(|(unit, n, words)| Some((unit_named(unit)?, *n, words)));
    words.flat_map(|(unit, n, words)| words.split(' ').map(move |word| (word, (n, unit)))).collect()
});
/// Words that begin a period: `every week`.
const EACH: &[&str] = &["every", "each", "alle", "jede", "jeden", "jeder", "jedes", "jedem"];
const PER: &[&str] = &["per", "pro", "je"];
/// Words between a number of times and its period: `twice a day`, `einmal im Jahr`.
const ARTICLES: &[&str] = &["a", "an", "in", "im", "am", "der", "die", "the", "each", "every", "per", "pro", "je"];
/// Endings of German adjectives.
const ENDINGS: &[&str] = &["e", "en", "er", "es", "em"];

/// A period and the byte range of the words that state it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Period {
    pub value: f64,
    pub unit: &'static Unit,
    pub span: Range<usize>,
}

struct Word<'t> {
    /// The word in lower case.
    lower: Cow<'t, str>,
    span: Range<usize>,
}

/// Returns the periods that a text states in words. `every 12 months` is not among them: it is a number with a unit.
pub(super) fn periods(text: &str) -> Vec<Period> {
    let words = words(text);
    let mut found: Vec<Period> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if let Some((period, length)) = period_at(&words[at..]) {
            found.push(period);
            at += length;
        } else {
            at += 1;
        }
    }
    found
}

/// Returns the period with which the words begin, and the number of its words.
fn period_at(words: &[Word<'_>]) -> Option<(Period, usize)> {
    let (times, times_length) = times(words).map_or((None, 0), |(times, length)| (Some(times), length));
    let rest = &words[times_length..];
    let first = rest.first()?;
    let (value, unit, length) = if let Some((value, unit)) = period_word(&first.lower) {
        (value, unit, 1)
    } else if times.is_some() {
        let articles = rest.iter().take(2).take_while(|word| ARTICLES.contains(&&*word.lower)).count();
        (1.0, unit_of(rest.get(articles).filter(|_| articles > 0)?)?, articles + 1)
    } else if EACH.contains(&&*first.lower) {
        let second = rest.get(1)?;
        let skips_one = ["other", "second", "zweite", "zweiten", "zweiter", "zweites"].contains(&&*second.lower);
        match skips_one {
            true => (2.0, unit_of(rest.get(2)?)?, 3),
            false => (1.0, unit_of(second)?, 2),
        }
    } else if PER.contains(&&*first.lower) {
        let unit = unit_of(rest.get(1)?)?;
        // `5 m³ per hour` is a rate.
        (1.0, Some(unit).filter(|unit| unit.to_base(1.0) >= 86_400.0 || is_long(unit))?, 2)
    } else {
        return None;
    };
    let length = times_length + length;
    let span = words.first()?.span.start..words.get(length - 1)?.span.end;
    Some((Period { value: value / times.unwrap_or(1.0), unit, span }, length))
}

fn is_long(unit: &Unit) -> bool {
    use super::units::Dimension::{CalendarTime, Shifts};
    matches!(unit.dimension, CalendarTime | Shifts)
}

/// Returns how many times, and the number of words that say it: `twice`, `three times`, `2 mal`.
fn times(words: &[Word<'_>]) -> Option<(f64, usize)> {
    let first = &*words.first()?.lower;
    let by_word = match first {
        "once" | "einmal" => Some(1.0),
        "twice" | "zweimal" => Some(2.0),
        _ => first.strip_suffix("mal").and_then(number_named),
    };
    let is_times = |word: &Word<'_>| ["times", "time", "mal", "x"].contains(&&*word.lower);
    let number = || number_named(first).or_else(|| first.parse().ok()).filter(|times: &f64| *times > 0.0);
    by_word.map(|times| (times, 1)).or_else(|| words.get(1).filter(|word| is_times(word)).and(number()).map(|n| (n, 2)))
}

/// Returns whether a word in lower case is an adverb or adjective of time.
pub(super) fn is_period_word(word: &str) -> bool {
    period_word(word).is_some()
}

/// Returns the period of an adverb or adjective, also with a number: `6-monthly`, `zweiwöchentlich`, `14-tägig`.
fn period_word(word: &str) -> Option<(f64, &'static Unit)> {
    let known = |word: &str| BY_WORD.get(word).copied();
    let forms = || ENDINGS.iter().filter_map(|ending| word.strip_suffix(ending)).chain([word]);
    let multiple = |form: &str| {
        let base = ["monthly", "weekly", "yearly", "wöchentlich", "monatlich", "jährlich", "tägig", "täglich"];
        let base = base.into_iter().find(|base| form.ends_with(base))?;
        let number = form.strip_suffix(base)?.trim_end_matches('-');
        let factor = number.parse().ok().or_else(|| number_named(number))?;
        let (value, unit) = known(if base == "tägig" { "täglich" } else { base })?;
        Some((value * factor, unit))
    };
    forms().find_map(known).or_else(|| forms().find_map(multiple))
}

/// Returns the unit of time that a word names.
fn unit_of(word: &Word<'_>) -> Option<&'static Unit> {
    let is_time = |unit: &&Unit| is_long(unit) || unit.dimension == super::units::Dimension::Duration;
    unit_named(&word.lower).filter(|_| word.lower.len() > 2).filter(is_time)
}

fn words(text: &str) -> Vec<Word<'_>> {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(|word| !word.is_empty());
    let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
    parts.map(|word| Word { lower: lower_case(word), span: start(word)..start(word) + word.len() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wording_of_a_period_is_found() {
        for (text, value, unit) in [
            ("Clean it weekly.", 1.0, "week"),
            ("the annual test", 1.0, "year"),
            ("once a year", 1.0, "year"),
            ("twice a year", 0.5, "year"),
            ("three times per shift", 1.0 / 3.0, "shift"),
            ("every other week", 2.0, "week"),
            ("every shift", 1.0, "shift"),
            ("vierteljährliche Prüfung", 3.0, "month"),
            ("die 14-tägige Reinigung", 14.0, "day"),
            ("einmal im Jahr", 1.0, "year"),
            ("zweimal täglich", 0.5, "day"),
            ("jede zweite Woche", 2.0, "week"),
            ("a 6-monthly check", 6.0, "month"),
        ] {
            let found = periods(text);
            let Period { value: found_value, unit: found_unit, .. } = &found[0];
            assert!((found_value - value).abs() < 1e-9 && Some(*found_unit) == unit_named(unit), "{text}: {found:?}");
        }
    }

    #[test]
    fn rates_numbers_with_units_and_other_words_are_not_periods() {
        for text in ["5 m³ per hour", "every 12 months", "at once", "each valve", "days of rain", "alle Ventile"] {
            assert_eq!(periods(text), [], "{text}");
        }
    }
}
