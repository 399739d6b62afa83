//! Decides by simple text rules whether a question asks for the state of the plant, and which tags it is about.
//!
//! The rules are conservative: a question that may be about documents only reads no plant system. A language model that
//! wants a value nevertheless calls a tool.

use crate::follow_up::tokens::{Identifier, Token, TokenKind, identifiers_in, tokens};
use chrono::TimeDelta;
use domain::plant::CatalogTag;

/// Maximum number of tags that are read for a question.
pub const MAX_TAGS: usize = 4;
/// Number of tags that are searched, from which the best are chosen.
pub const MAX_FOUND: u32 = 20;
/// Maximum number of words of a search besides the identifiers.
const MAX_QUERY_WORDS: usize = 8;
/// Period of a question for a trend that names none.
const DEFAULT_PERIOD: TimeDelta = TimeDelta::hours(8);
/// Maximum period that is read.
const MAX_PERIOD: TimeDelta = TimeDelta::days(366);
/// Minimum length of a word, in bytes, whose beginning is compared with other words.
const MIN_STEM: usize = 4;

/// Words for the present. Those of [`INFLECTED`] are compared by their beginning.
const PRESENT: &[&str] =
    &["now", "currently", "presently", "live", "jetzt", "gerade", "zurzeit", "istwert", "istwerte"];
const INFLECTED: &[&str] = &["aktuell", "momentan", "derzeit", "gegenwärtig"];
const PRESENT_PHRASES: &[&str] = &["at the moment", "at present", "im moment", "zur zeit"];
/// Words before which `current` does not mean the present.
const NOT_PRESENT: &[&str] = &[
    "revision",
    "version",
    "edition",
    "issue",
    "procedure",
    "document",
    "manual",
    "rating",
    "limit",
    "limits",
    "alarm",
    "setpoint",
    "maximum",
    "minimum",
    "transformer",
    "consumption",
    "of",
    "in",
    "is",
    "at",
    "and",
    "or",
    "when",
    "for",
    "does",
];
/// Words for what is measured, by the quantity. A German compound ends with one of them.
const QUANTITIES: &[&[&str]] = &[
    &["pressure", "druck"],
    &["temperature", "temperatur"],
    &["level", "füllstand", "pegel", "niveau"],
    &["flow", "durchfluss", "volumenstrom", "durchsatz"],
    &["speed", "drehzahl"],
    &["vibration", "schwingung"],
    &["power", "leistung"],
    &["current", "strom"],
    &["voltage", "spannung"],
    &["frequency", "frequenz"],
    &["position", "stellung"],
    &["conductivity", "leitfähigkeit"],
    &["humidity", "feuchte"],
    &["density", "dichte"],
];
/// Words that ask for the value of an instrument.
const VALUES: &[&str] = &[
    "show",
    "shows",
    "read",
    "reads",
    "reading",
    "readings",
    "value",
    "values",
    "display",
    "displays",
    "indicate",
    "indicates",
    "measure",
    "measures",
    "zeigt",
    "anzeige",
    "messwert",
    "messwerte",
    "wert",
    "werte",
    "misst",
];
/// Words for the state of equipment.
const STATES: &[&str] = &["running", "state", "status", "läuft", "laufen", "zustand", "betrieb"];
/// Words of questions about documents, or about what is laid down in them.
const DOCUMENTS: &[&str] = &[
    "manual",
    "procedure",
    "document",
    "documents",
    "sop",
    "instruction",
    "instructions",
    "calibrate",
    "calibrated",
    "calibration",
    "limit",
    "limits",
    "setpoint",
    "alarm",
    "trip",
    "trips",
    "maximum",
    "minimum",
    "allowed",
    "rated",
    "handbuch",
    "anleitung",
    "unterlagen",
    "dokument",
    "kalibriert",
    "kalibrierung",
    "grenzwert",
    "grenzwerte",
    "sollwert",
    "erlaubt",
    "zulässig",
];
const TRENDS: &[&str] = &["trend", "trends", "verlauf", "history", "historie", "entwicklung"];
const LAST: &[&str] = &["last", "past", "previous", "letzte", "letzten", "letzter", "vergangenen"];
/// Words that do not indicate what is measured.
const FUNCTION_WORDS: &[&str] = &[
    "the", "and", "what", "which", "how", "that", "this", "does", "with", "from", "for", "are", "was", "normal",
    "okay", "high", "low", "right", "moment", "present", "current", "give", "tell", "please", "der", "die", "das",
    "und", "was", "wie", "ist", "sind", "den", "dem", "des", "von", "vom", "welche", "welcher", "welchen", "welches",
    "hoch", "hat", "bei", "für", "bitte", "noch", "auch", "wieviel", "much", "over", "last", "hours", "hour",
    "stunden",
];

/// The plant data that a question asks for.
#[derive(Clone, Debug)]
pub struct PlantDataQuery {
    /// The search terms for tags: the identifiers and the words of the question.
    pub query: String,
    /// The period before now that is asked for; `None` for the present value.
    pub period: Option<TimeDelta>,
    identifiers: Vec<Identifier>,
    /// Positions in [`QUANTITIES`], so that `Druck` is a pressure.
    quantities: Vec<usize>,
    words: Vec<String>,
}

impl PlantDataQuery {
    /// Returns which plant data a message asks for; `None` if none. `standalone` is the message in standalone form.
    #[must_use]
    pub fn from_text(message: &str, standalone: &str) -> Option<Self> {
        let text = if message == standalone { message.to_owned() } else { format!("{message}\n{standalone}") };
        let tokens = tokens(&text);
        let identifiers = identifiers_in(&text);
        let period = period(&tokens);
        let mut quantities: Vec<usize> = tokens.iter().filter_map(|token| quantity(&token.lower)).collect();
        quantities.sort_unstable();
        quantities.dedup();
        let words = content_words(&tokens);
        let has = |list: &[&str]| tokens.iter().any(|token| list.contains(&&*token.lower));
        let has_instrument = identifiers.iter().any(is_instrument);
        let is_measurable = has_instrument || !quantities.is_empty();
        let asks = if period.is_some() || asks_for_present(&text, &tokens) {
            is_measurable || (has(STATES) && !identifiers.is_empty())
        } else {
            has_instrument && !has(DOCUMENTS) && (has(VALUES) || words.is_empty())
        };
        // Catalogues are mostly in English.
        let names = quantities.iter().filter_map(|quantity| QUANTITIES[*quantity].first().copied());
        let names = names.filter(|name| !words.iter().any(|word| word == name));
        let words_of_query = words.iter().take(MAX_QUERY_WORDS).map(String::as_str).chain(names);
        let named = identifiers.iter().map(|identifier| identifier.text.as_str());
        let query = named.chain(words_of_query).collect::<Vec<_>>().join(" ");
        (asks && !query.is_empty()).then_some(Self { query, period, identifiers, quantities, words })
    }

    /// Returns the tags that the question is about, best first; at most [`MAX_TAGS`], and one for a period.
    #[must_use]
    pub fn select<'t>(&self, tags: &'t [CatalogTag]) -> Vec<&'t CatalogTag> {
        let mut matches: Vec<TagMatch<'t>> = tags.iter().filter_map(|tag| self.match_tag(tag)).collect();
        if matches.iter().any(|found| found.is_named) {
            matches.retain(|found| found.is_named);
        } else {
            matches.retain(|found| self.quantities.is_empty() || found.has_quantity);
            let best = matches.iter().map(|found| found.shared_words).max().unwrap_or(0);
            matches.retain(|found| found.shared_words == best);
        }
        let count = if self.period.is_some() { 1 } else { MAX_TAGS };
        matches.into_iter().map(|found| found.tag).take(count).collect()
    }

    /// Compares a tag with the question; `None` if it is about other equipment, or about nothing that the question
    /// names.
    fn match_tag<'t>(&self, tag: &'t CatalogTag) -> Option<TagMatch<'t>> {
        let description = tag.description.as_deref().unwrap_or_default();
        let equipment = tag.equipment.as_deref().unwrap_or_default();
        let is_named = self.identifiers.iter().any(|identifier| names_tag(identifier, &normalized(&tag.tag)));
        let mut known = identifiers_in(description);
        known.extend(equipment.split('/').flat_map(identifiers_in));
        let is_about = |identifier: &Identifier| known.iter().any(|known| is_same_equipment(identifier, known));
        let text = format!("{description} {}", equipment.replace('/', " "));
        let tag_tokens = tokens(&text);
        let measured = |token: &Token<'_>| quantity(&token.lower);
        let has_quantity = tag_tokens.iter().filter_map(measured).any(|found| self.quantities.contains(&found));
        let is_shared = |word: &&String| tag_tokens.iter().any(|token| is_same_word(word, &token.lower));
        let shared_words = self.words.iter().filter(is_shared).count();
        let is_relevant = if self.identifiers.is_empty() {
            has_quantity && shared_words >= 2_usize.min(self.words.len())
        } else {
            is_named || self.identifiers.iter().any(is_about)
        };
        is_relevant.then_some(TagMatch { tag, is_named, has_quantity, shared_words })
    }
}

/// Score of how well a tag fits a question.
struct TagMatch<'t> {
    tag: &'t CatalogTag,
    /// Whether the question names the tag itself.
    is_named: bool,
    /// Whether it measures a quantity that the question names.
    has_quantity: bool,
    shared_words: usize,
}

fn asks_for_present(text: &str, tokens: &[Token<'_>]) -> bool {
    let lower = text.to_lowercase();
    let is_current = |pair: &[Token<'_>]| {
        pair[0].lower == "current" && pair[1].kind == TokenKind::Word && !NOT_PRESENT.contains(&&*pair[1].lower)
    };
    let is_present = |token: &Token<'_>| {
        PRESENT.contains(&&*token.lower) || INFLECTED.iter().any(|word| token.lower.starts_with(word))
    };
    tokens.iter().any(is_present)
        || PRESENT_PHRASES.iter().any(|phrase| lower.contains(phrase))
        || tokens.windows(2).any(is_current)
}

/// Returns the period that a question for a trend is about: `the last 8 hours`.
fn period(tokens: &[Token<'_>]) -> Option<TimeDelta> {
    let is_last = |at: &usize| LAST.contains(&&*tokens[*at].lower);
    for at in (0..tokens.len()).filter(is_last) {
        let mut next = tokens[at + 1..].iter();
        let Some(first) = next.next() else { continue };
        let number = first.lower.trim_end_matches(char::is_alphabetic).parse::<i32>().ok();
        let unit = match number {
            // `8h`, or a number and then its unit.
            Some(_) => unit(first.lower.trim_start_matches(|c: char| c.is_ascii_digit()))
                .or_else(|| next.next().and_then(|token| unit(&token.lower))),
            None => unit(&first.lower),
        };
        if let Some(period) = unit.and_then(|unit| unit.checked_mul(number.unwrap_or(1).max(1))) {
            return Some(period.min(MAX_PERIOD));
        }
    }
    tokens.iter().any(|token| TRENDS.contains(&&*token.lower)).then_some(DEFAULT_PERIOD)
}

fn unit(word: &str) -> Option<TimeDelta> {
    match word {
        "min" | "minute" | "minutes" | "minuten" => Some(TimeDelta::minutes(1)),
        "h" | "hour" | "hours" | "stunde" | "stunden" => Some(TimeDelta::hours(1)),
        "shift" | "schicht" => Some(TimeDelta::hours(8)),
        "d" | "day" | "days" | "tag" | "tage" | "tagen" => Some(TimeDelta::days(1)),
        "week" | "weeks" | "woche" | "wochen" => Some(TimeDelta::weeks(1)),
        _ => None,
    }
}

/// Returns the number of the quantity that a word names.
fn quantity(word: &str) -> Option<usize> {
    let names = |name: &&str| word == *name || word.strip_suffix('s') == Some(*name) || word.ends_with(*name);
    QUANTITIES.iter().position(|quantity| quantity.iter().any(names))
}

/// Returns whether an identifier is that of an instrument that shows a value (ISA-5.1): a letter for the quantity, and
/// among the others one for a sensor, an indicator, a recorder or a transmitter.
fn is_instrument(identifier: &Identifier) -> bool {
    let prefix = identifier.prefix();
    (2..=5).contains(&prefix.len()) && prefix.chars().skip(1).any(|letter| "EIRT".contains(letter))
}

/// Returns whether an identifier is the name of a tag, or the instrument in it: `PIT-1001` in `Area1.10-PIT-1001.PV`.
fn names_tag(identifier: &Identifier, tag: &str) -> bool {
    let is_whole_number = |after: &str| !after.starts_with(|c: char| c.is_ascii_digit());
    let is_part = || tag.split_once(identifier.normalized.as_str()).is_some_and(|(_, after)| is_whole_number(after));
    tag == identifier.normalized || (is_instrument(identifier) && is_part())
}

fn is_same_equipment(a: &Identifier, b: &Identifier) -> bool {
    a.normalized == b.normalized || a.group() == Some(b.normalized.as_str()) || b.group() == Some(a.normalized.as_str())
}

fn is_same_word(a: &str, b: &str) -> bool {
    let is_beginning = |short: &str, long: &str| short.len() >= MIN_STEM && long.starts_with(short);
    let is_same_quantity = || quantity(a).is_some_and(|found| quantity(b) == Some(found));
    a == b || is_beginning(a, b) || is_beginning(b, a) || is_same_quantity()
}

fn normalized(tag: &str) -> String {
    tag.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Returns the words that may say what is measured, each once, in lower case.
fn content_words(tokens: &[Token<'_>]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == TokenKind::Word) {
        let word = &*token.lower;
        let lists = [FUNCTION_WORDS, PRESENT, VALUES, TRENDS, LAST];
        let is_known = lists.iter().any(|list| list.contains(&word)) || INFLECTED.iter().any(|it| word.starts_with(it));
        let is_unit = unit(word).is_some();
        if word.chars().count() > 2 && !is_known && !is_unit && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::role::Classification;

    fn question(text: &str) -> Option<PlantDataQuery> {
        PlantDataQuery::from_text(text, text)
    }

    fn tag(tag: &str, description: &str, equipment: &str) -> CatalogTag {
        CatalogTag {
            tag: tag.to_owned(),
            unit: None,
            description: Some(description.to_owned()),
            equipment: Some(equipment.to_owned()),
            classification: Classification::Internal,
        }
    }

    fn tags() -> Vec<CatalogTag> {
        vec![
            tag("PIT-1001", "Discharge pressure", "Northfield/Area 100/P-101"),
            tag("PIT-1002", "Suction pressure", "Northfield/Area 100/P-101"),
            tag("TE-1021", "Bearing temperature", "Northfield/Area 100/P-101A"),
            tag("PIT-2008", "Steam drum pressure", "Northfield/Area 200/B-201"),
        ]
    }

    fn selected(text: &str) -> Vec<String> {
        let tags = tags();
        let found =
            question(text).map(|question| question.select(&tags).into_iter().map(|tag| tag.tag.clone()).collect());
        found.unwrap_or_default()
    }

    #[test]
    fn questions_about_documents_read_no_plant_system() {
        for text in [
            "What torque do the casing tie bolts of P-101A get?",
            "What is the maximum discharge pressure of P-101?",
            "How is PIT-1001 calibrated?",
            "What is the alarm limit of PIT-1001?",
            "At what temperature does TE-1021 trip the pump?",
            "Which is the current revision of the pump manual?",
            "What is the current alarm limit of PIT-1001?",
            "What is the motor current of P-101A?",
            "PAL-1001 is active, what do I do now?",
            "What is the discharge pressure of P-101?",
            "Wie hoch ist der zulässige Druck von P-101?",
            "Hello, how are you now?",
            "What is the maintenance history of P-101?",
        ] {
            assert!(question(text).is_none(), "{text}: {:?}", question(text));
        }
    }

    #[test]
    fn questions_for_the_present_and_for_trends_do() {
        for text in [
            "What is the discharge pressure of P-101 now, and is that normal?",
            "What is the current pressure at P-101?",
            "What does PIT-1001 show?",
            "PIT-1001?",
            "Is P-101A running right now?",
            "Wie hoch ist der Austrittsdruck von P-101 jetzt?",
            "Welche aktuelle Temperatur hat das Lager von P-101A?",
            "How did the pressure of P-101 develop in the last 8 hours?",
            "What is the steam drum pressure at the moment?",
        ] {
            assert!(question(text).is_some(), "{text}");
        }
    }

    #[test]
    fn the_tags_of_the_equipment_that_measure_what_is_asked_are_selected() {
        for (text, expected) in [
            ("What is the discharge pressure of P-101 now?", vec!["PIT-1001"]),
            ("What is the pressure of P-101 now?", vec!["PIT-1001", "PIT-1002"]),
            ("Wie hoch ist der Druck an P-101 jetzt?", vec!["PIT-1001", "PIT-1002"]),
            ("What does pit1001 show?", vec!["PIT-1001"]),
            ("What does PIT-100 show?", vec![]),
            ("What is the temperature of P-101 now?", vec!["TE-1021"]),
            ("What is the flow of P-101 now?", vec![]),
            ("What is the discharge pressure of P-900 now?", vec![]),
            ("What is the steam drum pressure now?", vec!["PIT-2008"]),
        ] {
            assert_eq!(selected(text), expected, "{text}");
        }
    }

    #[test]
    fn a_period_is_read_from_the_question() {
        let period =
            |text: &str| question(text).and_then(|question| question.period).map(|period| period.num_minutes());
        assert_eq!(period("Trend of PIT-1001 over the last 8 hours"), Some(480));
        assert_eq!(period("PIT-1001 in the last 30 min"), Some(30));
        assert_eq!(period("Druck von P-101 in den letzten 2 Tagen"), Some(2_880));
        assert_eq!(period("Show the trend of PIT-1001"), Some(480));
        assert_eq!(period("What does PIT-1001 show now?"), None);
    }

    #[test]
    fn a_follow_up_is_about_the_equipment_of_its_conversation() {
        let follow_up =
            PlantDataQuery::from_text("And what is it now?", "discharge pressure of P-101: And what is it now?");
        assert_eq!(follow_up.map(|question| question.query), Some("P-101 discharge pressure".to_owned()));
    }
}
