//! Decides whether readings of plant systems support a statement: its numbers must be those that were read, its
//! identifiers those of the tags, and a stale or bad value must be described as such.

use super::content::Content;
use super::evidence::Evidence;
use super::lexicon::LEXICON;
use super::parts::Part;
use super::quantities::Quantity;
use crate::language::Language;
use domain::plant::{
    NumberedReading, Quality, RangePosition, ReadingContent, TagHistory, TagLimits, TagReading, short_age,
    short_number, unit_text,
};
use domain::time::Timestamp;
use std::fmt::Write as _;

/// Minimum share of a statement's words that the cited readings and passages must contain.
const MIN_SHARED_WORDS: f64 = 0.6;
/// Maximum difference of a rounded value, as a share of the value.
const MAX_ROUNDING: f64 = 0.01;
/// Words that a statement about any reading may have.
const ENGLISH_WORDS: &str = "present current now value reading reads shows displays measured measures indicates moment \
    point taken tag source quality good uncertain bad stale old ago normal range limit limits within below above alarm \
    low high average mean lowest highest minimum maximum last samples history trend between started ended rose fell";
const GERMAN_WORDS: &str = "aktuell derzeit jetzt wert messwert zeigt anzeige beträgt liegt messstelle quelle qualität \
    gut schlecht unsicher veraltet alt normal normalbereich grenze grenzwert innerhalb unterhalb oberhalb unter über \
    mittelwert niedrigster höchster letzter verlauf zwischen gestiegen gefallen";
/// Words with which a statement says that a value is not current.
const ADMISSIONS: &[&str] = &[
    "stale",
    "old",
    "ago",
    "outdated",
    "unknown",
    "bad",
    "unusable",
    "unavailable",
    "unreliable",
    "frozen",
    "veraltet",
    "alt",
    "vor",
    "zuletzt",
    "schlecht",
    "schlechte",
    "schlechter",
    "unbekannt",
    "unbrauchbar",
    "unzuverlässig",
];
const ADMITTING_PHRASES: &[&str] = &[
    "last value",
    "last known",
    "last reading",
    "not current",
    "not the present",
    "not present",
    "not up to date",
    "not to be used",
    "not be used",
    "cannot be used",
    "not usable",
    "not available",
    "not reliable",
    "not known",
    "no longer",
    "letzter wert",
    "letzte wert",
    "nicht aktuell",
    "nicht verwend",
    "nicht verfügbar",
    "nicht zuverlässig",
    "nicht bekannt",
];

/// A reading, in the form in which statements are compared with it.
pub(super) struct ReadingEvidence {
    pub(super) n: u32,
    /// Names, description and numbers.
    whole: Content,
    /// The text about what is measured, without numbers.
    subject: Content,
    /// Whether the value counts as current; a history does for its period.
    is_present: bool,
    position: Option<RangePosition>,
}

impl ReadingEvidence {
    pub(super) fn new(numbered: &NumberedReading) -> Self {
        let tag = numbered.tag();
        let names = [
            tag.to_owned(),
            tag.replace(['.', '/'], " "),
            numbered.description().unwrap_or_default().to_owned(),
            numbered.equipment.as_deref().unwrap_or_default().replace('/', " "),
        ];
        let subject = names.join("\n");
        let mut numbers = String::new();
        let (is_present, position) = match &numbered.content {
            ReadingContent::Present(reading) => {
                add_reading(&mut numbers, reading, numbered.read_at);
                (reading.is_present(), reading.range_position())
            }
            ReadingContent::History { history, period } => {
                add_history(&mut numbers, history);
                add_time(&mut numbers, period.from);
                add_time(&mut numbers, period.to);
                (true, None)
            }
        };
        Self {
            n: numbered.n,
            whole: Content::of(&format!("{subject}\n{}\n{numbers}", numbered.source())),
            subject: Content::of(&subject),
            is_present,
            position,
        }
    }

    fn is_relevant_to(&self, claim: &Content) -> bool {
        claim.quantities.iter().any(|quantity| self.whole.states(quantity))
            || claim.identifiers.iter().any(|identifier| self.whole.names(identifier))
            || (!claim.stems.is_empty() && claim.shared_words(|stem| self.subject.has_word(stem)) > 0.0)
            || !self.is_present
    }
}

/// Returns whether a reading supports a statement without citation markers, which must have a number or an identifier.
pub(super) fn supports_uncited(reading: &ReadingEvidence, claim: &Part, text: &str) -> bool {
    claim.content.has_number_or_name() && jointly_support(&[reading], &[], claim, text)
}

/// Returns whether the readings and passages that a statement cites support it together.
pub(super) fn jointly_support(
    readings: &[&ReadingEvidence],
    passages: &[&Evidence<'_>],
    claim: &Part,
    text: &str,
) -> bool {
    let content = &claim.content;
    let any = |is_in: &dyn Fn(&Content) -> bool| {
        readings.iter().any(|reading| is_in(&reading.whole)) || passages.iter().any(|passage| is_in(passage.whole()))
    };
    let is_stated = |quantity: &Quantity| any(&|whole| whole.states(quantity));
    let is_named = |identifier: &String| any(&|whole| whole.names(identifier));
    let lower = text.to_lowercase();
    content.quantities.iter().all(is_stated)
        && content.required_identifiers().all(is_named)
        && (readings.iter().all(|reading| reading.is_present) || admits(&lower))
        && readings.iter().all(|reading| reading.is_relevant_to(content) && !content.has_other_side(&reading.subject))
        && passages.iter().all(|passage| passage.is_relevant_to(content))
        && (!passages.is_empty() || has_right_position(readings, &lower))
        && shares_words(readings, passages, content)
}

/// Returns whether the statement's words are those of what it cites. A German statement is not compared with texts that
/// are not German.
fn shares_words(readings: &[&ReadingEvidence], passages: &[&Evidence<'_>], content: &Content) -> bool {
    let is_german = |other: &Content| other.language == Some(Language::German);
    let any_german = readings.iter().any(|reading| is_german(&reading.subject))
        || passages.iter().any(|passage| is_german(passage.whole()));
    if is_german(content) && !any_german {
        return true;
    }
    let common = [(ENGLISH_WORDS, Language::English), (GERMAN_WORDS, Language::German)]
        .map(|(words, language)| Content::in_language(words, Some(language)));
    let is_known = |stem: &str| {
        readings.iter().any(|reading| reading.whole.has_word(stem))
            || passages.iter().any(|passage| passage.whole().has_word(stem))
            || common.iter().any(|words| words.stems.contains(stem))
    };
    content.shared_words(is_known) >= MIN_SHARED_WORDS
}

/// Returns whether a text in lower case says that a value is not current.
fn admits(lower: &str) -> bool {
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.any(|word| ADMISSIONS.contains(&word)) || ADMITTING_PHRASES.iter().any(|phrase| lower.contains(phrase))
}

/// Returns `false` if a text in lower case says that a value is below, within or above its normal range, and no reading
/// is.
fn has_right_position(readings: &[&ReadingEvidence], lower: &str) -> bool {
    let Some(claimed) = claimed_position(lower) else { return true };
    let mut known = readings.iter().filter_map(|reading| reading.position).peekable();
    known.peek().is_none() || known.any(|position| position == claimed)
}

/// Returns where a text says that a value lies; `None` if that is not clear.
fn claimed_position(lower: &str) -> Option<RangePosition> {
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if !lower.contains("normal") || lower.contains("abnormal") || words.iter().any(|word| LEXICON.is_negation(word)) {
        return None;
    }
    let is_below = has(&["below", "under", "unter", "unterhalb", "unterschreitet"]);
    let is_above = has(&["above", "over", "exceeds", "über", "oberhalb", "überschreitet"]);
    match (is_below, is_above) {
        (true, false) => Some(RangePosition::Below),
        (false, true) => Some(RangePosition::Above),
        (true, true) => None,
        (false, false) => {
            let is_within = has(&["within", "inside", "innerhalb", "im"]) || lower.contains("is normal");
            is_within.then_some(RangePosition::Within)
        }
    }
}

fn add_reading(text: &mut String, reading: &TagReading, read_at: Timestamp) {
    let unit = reading.unit.as_deref();
    if let Some(value) = reading.value.as_ref().filter(|_| reading.quality != Quality::Bad) {
        match value.as_number() {
            Some(number) => add_number(text, number, unit),
            None => add(text, &value.short_text()),
        }
    }
    add_limits(text, reading.limits, unit);
    add_age(text, reading.age_s);
    add_time(text, reading.taken_at(read_at));
}

fn add_history(text: &mut String, history: &TagHistory) {
    let unit = history.unit.as_deref();
    if let Some(numbers) = history.statistics() {
        for number in [numbers.lowest, numbers.highest, numbers.mean, numbers.last] {
            add_number(text, number, unit);
        }
    }
    for (at, number) in history.usable_numbers() {
        add_number(text, number, unit);
        add_time(text, at);
    }
    add_limits(text, history.limits, unit);
    add_number(text, history.good_share * 100.0, Some("%"));
    add_number(text, (history.good_share * 100.0).floor(), Some("%"));
    add(text, &format!("{} samples; {} points", history.samples, history.points.len()));
    if let Some(seconds) = history.interval_s {
        add(text, &format!("{seconds} s; {} min", seconds / 60));
    }
}

/// Adds the limits, and the normal range as it may be quoted.
fn add_limits(text: &mut String, limits: TagLimits, unit: Option<&str>) {
    for limit in [limits.normal_low, limits.normal_high, limits.alarm_low, limits.alarm_high] {
        limit.into_iter().for_each(|limit| add_number(text, limit, unit));
    }
    if let (Some(low), Some(high)) = (limits.normal_low, limits.normal_high) {
        let (low, high) = (short_number(low), short_number(high));
        let unit = unit_text(unit).unwrap_or_default();
        for separator in [" to ", "-", " - ", "–", " – ", " and ", " bis ", " und "] {
            add(text, &format!("{low}{separator}{high} {unit}"));
        }
    }
}

/// Adds a number as it may be quoted: exact, and rounded without a noticeable error.
fn add_number(text: &mut String, number: f64, unit: Option<&str>) {
    let unit = unit_text(unit).unwrap_or_default();
    add(text, &format!("{number} {unit}"));
    for decimals in 0..=4 {
        let rounded = format!("{number:.decimals$}");
        let error = rounded.parse::<f64>().map_or(f64::INFINITY, |rounded| (rounded - number).abs());
        if error <= MAX_ROUNDING * number.abs() {
            add(text, &format!("{rounded} {unit}"));
        }
    }
}

fn add_age(text: &mut String, age_s: f64) {
    add(text, &short_age(age_s));
    add(text, &format!("{age_s} s; {:.0} s; {:.0} min; {:.1} min", age_s, age_s / 60.0, age_s / 60.0));
    add(text, &format!("{:.0} h; {:.1} h; {:.0} days", age_s / 3_600.0, age_s / 3_600.0, age_s / 86_400.0));
}

fn add_time(text: &mut String, time: Timestamp) {
    add(text, &time.format("%Y-%m-%d %H:%M:%S; %H:%M; %d.%m.%Y; %Y-%m-%dT%H:%M:%SZ").to_string());
}

/// Adds a part that no other one is read together with.
fn add(text: &mut String, part: &str) {
    let _ = writeln!(text, "{};", part.trim());
}

#[cfg(test)]
mod tests {
    use super::super::super::citations::CitableSources;
    use super::super::unsupported_statements;
    use super::*;
    use crate::run::grounding::tests::passage;
    use domain::plant::TagValue;
    use domain::role::Classification;

    fn numbered(n: u32, reading: TagReading) -> NumberedReading {
        let equipment = Some("Northfield/Area 100/P-101".to_owned());
        NumberedReading { n, content: ReadingContent::Present(reading), equipment, read_at: Timestamp::UNIX_EPOCH }
    }

    /// [1] is a passage, [2] a good reading, [3] a stale and [4] a bad one.
    fn is_listed(answer: &str) -> bool {
        let passages = [passage(
            1,
            "Feedwater pumps",
            "The standby pump starts when the header pressure PIT-1001 falls below 17.0 bar for 3 s.",
        )];
        let reading = || TagReading {
            value: TagValue::number(4.583_333),
            ..fakes::plant::reading("PIT-1001", Classification::Internal)
        };
        let temperature = || TagReading {
            description: Some("Bearing temperature".to_owned()),
            value: TagValue::number(71.0),
            unit: Some("°C".to_owned()),
            ..fakes::plant::reading("TE-1021", Classification::Internal)
        };
        let readings = [
            numbered(2, reading()),
            numbered(3, TagReading { stale: true, age_s: 720.0, ..temperature() }),
            numbered(4, TagReading { quality: Quality::Bad, ..temperature() }),
        ];
        let sources = CitableSources { passages: &passages, readings: &readings };
        !unsupported_statements(answer, sources).is_empty()
    }

    #[test]
    fn what_was_read_is_supported() {
        for answer in [
            "The discharge pressure of P-101 is 4.58 bar [2].",
            "PIT-1001 shows 4.6 bar, good, 2 s old [2].",
            "It is below the normal range of 5 to 7 bar [2].",
            "The discharge pressure is 0.458 MPa [2].",
            "Der Austrittsdruck von P-101 beträgt 4,58 bar [2].",
            "The discharge pressure of P-101 is 4.58 bar.",
            "The bearing temperature of TE-1021 is stale: the last value was 71 °C 12 min ago [3].",
            "The bearing temperature is bad and not to be used [4].",
            "PIT-1001 is at 4.58 bar, below the 17.0 bar at which the standby pump starts [1][2].",
        ] {
            assert!(!is_listed(answer), "{answer}");
        }
    }

    #[test]
    fn what_was_not_read_is_listed() {
        for answer in [
            "The discharge pressure of P-101 is 6.2 bar [2].",
            "The discharge pressure of P-101 is 4.58 °C [2].",
            "The suction pressure of P-101 is 4.58 bar [2].",
            "The discharge pressure of P-102 is 4.58 bar [2].",
            "The discharge pressure of P-101 is 9.9 bar.",
            "The pressure of 4.58 bar is within the normal range [2].",
            "The bearing temperature of TE-1021 is 71 °C now [3].",
            "The bearing temperature is 71 °C [4].",
            "The bearing temperature is bad: 71 °C [4].",
            "The impeller is worn out and the seal must be replaced [2].",
            "The discharge pressure of P-101 is 4.58 bar [1].",
        ] {
            assert!(is_listed(answer), "{answer}");
        }
    }

    #[test]
    fn ages_and_rounded_numbers_may_be_quoted() {
        let mut text = String::new();
        add_number(&mut text, 20.13, Some("bar"));
        assert!(text.contains("20.1 bar") && text.contains("20 bar;"), "{text}");
        let mut text = String::new();
        add_number(&mut text, 4.6, Some("bar"));
        assert!(!text.contains("5 bar"), "an error of nine percent is noticeable: {text}");
    }
}
