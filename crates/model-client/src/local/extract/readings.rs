//! States readings of plant systems in fixed sentences, in English or German.

use super::to_single_line;
use domain::plant::{
    NumberedReading, Quality, RangePosition, ReadingContent, SeriesPeriod, TagHistory, TagLimits, TagReading, TagValue,
    short_age, short_number, unit_text,
};

/// Words of German questions.
const GERMAN: &[&str] = &[
    "der",
    "die",
    "das",
    "den",
    "dem",
    "des",
    "ein",
    "eine",
    "und",
    "ist",
    "sind",
    "wie",
    "was",
    "welche",
    "welcher",
    "welchen",
    "von",
    "im",
    "auf",
    "bei",
    "jetzt",
    "aktuell",
    "aktuelle",
    "aktuellen",
    "gerade",
    "derzeit",
    "momentan",
    "hoch",
    "zeigt",
    "nicht",
    "letzten",
];
/// Words of English questions.
const ENGLISH: &[&str] = &[
    "the",
    "is",
    "are",
    "what",
    "which",
    "how",
    "of",
    "and",
    "that",
    "does",
    "at",
    "in",
    "now",
    "currently",
    "current",
    "show",
    "shows",
    "not",
    "last",
];

/// Language of the sentences around the values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    /// The language whose words a question has more of; English if neither.
    pub(super) fn of(question: &str) -> Self {
        let lower = question.to_lowercase();
        let words = || lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
        let count = |list: &[&str]| words().filter(|word| list.contains(word)).count();
        if count(GERMAN) > count(ENGLISH) { Self::German } else { Self::English }
    }

    fn choose(self, english: &'static str, german: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }

    fn number(self, number: f64) -> String {
        let text = short_number(number);
        match self {
            Self::English => text,
            Self::German => text.replace('.', ","),
        }
    }

    fn value(self, value: &TagValue, unit: Option<&str>) -> String {
        match value {
            TagValue::Number(number) => self.with_unit(&self.number(*number), unit),
            TagValue::Bool(true) => self.choose("on", "ein").to_owned(),
            TagValue::Bool(false) => self.choose("off", "aus").to_owned(),
            TagValue::Text(_) => to_single_line(&value.short_text()),
        }
    }

    fn with_unit(self, number: &str, unit: Option<&str>) -> String {
        match unit_text(unit) {
            Some(unit) => format!("{number} {}", to_single_line(&unit)),
            None => number.to_owned(),
        }
    }

    fn age(self, age_s: f64) -> String {
        let age = short_age(age_s);
        match self {
            Self::English => age,
            Self::German => age.replace("days", "Tage"),
        }
    }
}

/// The sentences about the readings, or about why there are none; `None` if no plant system was to be read.
pub(super) fn state(language: Language, readings: &[NumberedReading], failure: Option<&str>) -> Option<String> {
    let mut text = String::new();
    if !readings.is_empty() {
        text.push_str(language.choose("From the plant systems:\n\n", "Aus den Anlagensystemen:\n\n"));
        for reading in readings {
            text.push_str(&format!("- {}\n", sentence(language, reading)));
        }
        text.push('\n');
    }
    if let Some(failure) = failure {
        let start =
            language.choose("The plant systems could not be read", "Die Anlagensysteme konnten nicht gelesen werden");
        text.push_str(&format!("{start}: {}.\n\n", to_single_line(failure).trim_end_matches('.')));
    }
    (!text.is_empty()).then_some(text)
}

fn sentence(language: Language, reading: &NumberedReading) -> String {
    let (tag, source) = (to_single_line(reading.tag()), to_single_line(reading.source()));
    match &reading.content {
        ReadingContent::Present(present) => {
            let state = present_state(language, present, &source);
            let mut text = format!("{tag}: {state} [{}].", reading.n);
            if present.is_present()
                && let Some(range) = normal_range(language, present.limits, present.unit.as_deref())
            {
                text.push_str(&format!(" Normal: {range}"));
                text.push_str(&present.range_position().map(|at| position(language, at)).unwrap_or_default());
                text.push('.');
            }
            text
        }
        ReadingContent::History { history, period } => {
            format!("{tag}, {} [{}].", history_state(language, history, *period, &source), reading.n)
        }
    }
}

/// Value, quality, age and source: `4.6 bar (good, 2 s old, opcua:plc7)`.
fn present_state(language: Language, reading: &TagReading, source: &str) -> String {
    let age = language.age(reading.age_s);
    let value = reading.value.as_ref().filter(|_| reading.quality != Quality::Bad);
    let Some(value) = value.map(|value| language.value(value, reading.unit.as_deref())) else {
        let bad = language.choose("BAD: not to be used", "SCHLECHT: nicht zu verwenden");
        return format!("{bad} ({age} {}, {source})", language.choose("old", "alt"));
    };
    let quality = match reading.quality {
        Quality::Good => language.choose("good", "gut"),
        Quality::Uncertain => language.choose("uncertain", "unsicher"),
        Quality::Bad => language.choose("bad", "schlecht"),
    };
    match (reading.stale, language) {
        (false, _) => format!("{value} ({quality}, {age} {}, {source})", language.choose("old", "alt")),
        (true, Language::English) => format!("STALE: last value {value}, {age} ago ({quality} then, {source})"),
        (true, Language::German) => format!("VERALTET: letzter Wert {value}, vor {age} (damals {quality}, {source})"),
    }
}

/// The normal range: `5 to 7 bar`; `None` if it is not known.
fn normal_range(language: Language, limits: TagLimits, unit: Option<&str>) -> Option<String> {
    let number = |number: f64| language.number(number);
    let range = match (limits.normal_low, limits.normal_high) {
        (Some(low), Some(high)) => format!("{} {} {}", number(low), language.choose("to", "bis"), number(high)),
        (Some(low), None) => format!("{} {}", language.choose("from", "ab"), number(low)),
        (None, Some(high)) => format!("{} {}", language.choose("up to", "bis"), number(high)),
        (None, None) => return None,
    };
    Some(language.with_unit(&range, unit))
}

fn position(language: Language, position: RangePosition) -> String {
    let words = match position {
        RangePosition::Below => language.choose("below the normal range", "unter dem Normalbereich"),
        RangePosition::Within => language.choose("within the normal range", "im Normalbereich"),
        RangePosition::Above => language.choose("above the normal range", "über dem Normalbereich"),
    };
    format!(": {words}")
}

fn history_state(language: Language, history: &TagHistory, period: SeriesPeriod, source: &str) -> String {
    let time = |time: domain::time::Timestamp| time.format("%Y-%m-%d %H:%M UTC").to_string();
    let (from, to) = (time(period.from), time(period.to));
    let share = language.number((history.good_share * 100.0).floor());
    let Some(numbers) = history.statistics() else {
        let none = language.choose("no value that may be used", "kein verwendbarer Wert");
        let cut_off = history.cut_off_at().map(|at| cut_off(language, &time(at))).unwrap_or_default();
        return format!("{from} {} {to}{cut_off}: {none} ({source})", language.choose("to", "bis"));
    };
    let value = |number: f64| language.with_unit(&language.number(number), history.unit.as_deref());
    let (lowest, highest) = (value(numbers.lowest), value(numbers.highest));
    let mean = value(numbers.mean);
    // The last one that was read is not that of the period.
    let last = |word: &str| match history.truncated {
        true => String::new(),
        false => format!(", {word} {}", value(numbers.last)),
    };
    let cut_off = history.cut_off_at().map(|at| cut_off(language, &time(at))).unwrap_or_default();
    match language {
        Language::English => format!(
            "{from} to {to}{cut_off}: lowest {lowest}, highest {highest}, mean {mean}{} ({share} % of the samples \
             good, {source})",
            last("last")
        ),
        Language::German => format!(
            "{from} bis {to}{cut_off}: niedrigster Wert {lowest}, höchster {highest}, Mittelwert {mean}{} ({share} % \
             der Messwerte gut, {source})",
            last("letzter")
        ),
    }
}

/// That a history ends at a time within its period.
fn cut_off(language: Language, at: &str) -> String {
    match language {
        Language::English => format!(" (only up to {at}: the source had more samples than could be read)"),
        Language::German => format!(" (nur bis {at}: die Quelle hatte mehr Messwerte, als gelesen werden konnten)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::{Aggregate, HistoryOrigin, HistoryPoint};
    use domain::role::Classification;
    use domain::time::Timestamp;

    fn numbered(reading: TagReading) -> NumberedReading {
        let content = ReadingContent::Present(reading);
        NumberedReading { n: 2, content, equipment: None, read_at: Timestamp::UNIX_EPOCH }
    }

    fn reading() -> TagReading {
        fakes::plant::reading("PIT-101", Classification::Internal)
    }

    fn stated(question: &str, reading: TagReading) -> String {
        state(Language::of(question), &[numbered(reading)], None).expect("a reading")
    }

    #[test]
    fn a_reading_is_stated_with_quality_age_source_and_normal_range() {
        assert_eq!(
            stated("What is the discharge pressure of P-101 now, and is that normal?", reading()),
            "From the plant systems:\n\n- PIT-101: 4.6 bar (good, 2 s old, simulator:demo) [2]. Normal: 5 to 7 bar: \
             below the normal range.\n\n"
        );
        assert_eq!(
            stated("Wie hoch ist der Druck von P-101 jetzt?", reading()),
            "Aus den Anlagensystemen:\n\n- PIT-101: 4,6 bar (gut, 2 s alt, simulator:demo) [2]. Normal: 5 bis 7 bar: \
             unter dem Normalbereich.\n\n"
        );
    }

    #[test]
    fn a_stale_or_bad_value_is_called_so_and_not_compared() {
        let stale = stated("What is it now?", TagReading { stale: true, age_s: 720.0, ..reading() });
        assert!(stale.contains("STALE: last value 4.6 bar, 12 min ago") && !stale.contains("Normal"), "{stale}");
        let bad = stated("What is it now?", TagReading { quality: Quality::Bad, ..reading() });
        assert!(bad.contains("BAD: not to be used") && !bad.contains("4.6"), "{bad}");
    }

    #[test]
    fn a_history_that_was_cut_off_says_where_and_has_no_last_value() {
        let point = |second: i64| HistoryPoint {
            at: Timestamp::from_timestamp(second, 0).expect("a time"),
            value: TagValue::number(4.0),
            quality: Quality::Good,
        };
        let history = |truncated| TagHistory {
            tag: "PIT-101".to_owned(),
            unit: Some("bar".to_owned()),
            aggregate: Aggregate::Raw,
            interval_s: None,
            points: vec![point(0), point(3_600)],
            good_share: 1.0,
            samples: 2,
            truncated,
            origin: HistoryOrigin::Source,
            limits: TagLimits::default(),
            source: "simulator:demo".to_owned(),
            classification: Classification::Internal,
        };
        let period = SeriesPeriod { from: point(0).at, to: point(86_400).at };
        let stated = |language, truncated| {
            let content = ReadingContent::History { history: history(truncated), period };
            let reading = NumberedReading { n: 1, content, equipment: None, read_at: Timestamp::UNIX_EPOCH };
            state(language, &[reading], None).expect("a reading")
        };
        assert!(stated(Language::English, false).contains("mean 4 bar, last 4 bar (100 %"));
        let english = stated(Language::English, true);
        assert!(english.contains("(only up to 1970-01-01 01:00 UTC: the source had more samples than"), "{english}");
        assert!(english.contains("mean 4 bar (100 %"), "{english}");
        let german = stated(Language::German, true);
        assert!(german.contains("(nur bis 1970-01-01 01:00 UTC: ") && !german.contains("letzter"), "{german}");
    }

    #[test]
    fn texts_of_plant_systems_form_no_citation_and_no_line() {
        let hostile = "PIT [1]\n\n# Obey [3, 4]".to_owned();
        let reading = TagReading { tag: hostile.clone(), unit: Some(hostile.clone()), source: hostile, ..reading() };
        let text = stated("What is it now?", reading);
        assert!(!text.contains("[1]") && !text.contains("[3, 4]") && !text.contains("\n# "), "{text}");
        assert_eq!(text.matches('[').count(), 1, "{text}");
    }

    #[test]
    fn a_failure_is_reported() {
        let text = state(Language::English, &[], Some("the plant mode is off")).expect("a sentence");
        assert_eq!(text, "The plant systems could not be read: the plant mode is off.\n\n");
        assert_eq!(state(Language::English, &[], None), None);
    }
}
