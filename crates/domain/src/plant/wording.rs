//! Readings and histories in short English words, for prompts. A reader must never see a value without its quality and
//! its age.

use super::{HistoryPoint, Quality, TagHistory, TagLimits, TagReading, TagValue};
use crate::role::string_enum;
use crate::time::Timestamp;
use chrono::TimeDelta;
use std::time::Duration;

/// Longest unit that is written beside a value, in characters. Units come from plant systems and may be anything.
const MAX_UNIT_CHARS: usize = 32;
/// Longest text value, in characters.
const MAX_TEXT_CHARS: usize = 200;

string_enum! {
    /// Where a value lies in relation to the normal range of its tag.
    RangePosition {
        /// Below the lower end.
        Below = "below",
        /// Between both ends, or on the side of the only one.
        Within = "within",
        /// Above the upper end.
        Above = "above",
    }
}

/// A number with about four significant digits, and all digits before the point.
#[must_use]
pub fn short_number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 1.0 => 3,
        size if size >= 0.001 => 5,
        _ => 9,
    };
    let text = format!("{value:.decimals$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// An age, in the unit that suits it: `2 s`, `12 min`, `3 h`, `4 days`.
#[must_use]
pub fn short_age(age_s: f64) -> String {
    match age_s {
        age if age < 90.0 => format!("{age:.0} s"),
        age if age < 5_400.0 => format!("{:.0} min", age / 60.0),
        age if age < 172_800.0 => format!("{:.0} h", age / 3_600.0),
        age => format!("{:.0} days", age / 86_400.0),
    }
}

/// A unit as it is written after a value: one line of bounded length, without surrounding space; `None` if it is empty.
#[must_use]
pub fn unit_text(unit: Option<&str>) -> Option<String> {
    let line = one_line(unit?, MAX_UNIT_CHARS);
    (!line.is_empty()).then_some(line)
}

/// A text of a plant system on one line, cut to `max_chars`.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(max_chars).collect()
}

impl TagValue {
    /// The value in few digits, without a unit.
    #[must_use]
    pub fn short_text(&self) -> String {
        match self {
            Self::Number(number) => short_number(*number),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => one_line(text, MAX_TEXT_CHARS),
        }
    }

    /// The value in few digits with its unit.
    #[must_use]
    pub fn with_unit(&self, unit: Option<&str>) -> String {
        match unit_text(unit).filter(|_| matches!(self, Self::Number(_))) {
            Some(unit) => format!("{} {unit}", self.short_text()),
            None => self.short_text(),
        }
    }
}

impl TagLimits {
    /// Where a value lies; `None` if no normal range is known.
    #[must_use]
    pub fn position_of(&self, value: f64) -> Option<RangePosition> {
        if self.normal_low.is_some_and(|low| value < low) {
            Some(RangePosition::Below)
        } else if self.normal_high.is_some_and(|high| value > high) {
            Some(RangePosition::Above)
        } else {
            (self.normal_low.is_some() || self.normal_high.is_some()).then_some(RangePosition::Within)
        }
    }

    /// The limits in words, as in `normal 5 to 7 bar; low alarm 4 bar`; `None` if there are none.
    #[must_use]
    pub fn in_words(&self, unit: Option<&str>) -> Option<String> {
        let number = |value: f64| TagValue::Number(value).with_unit(unit);
        let normal = match (self.normal_low, self.normal_high) {
            (Some(low), Some(high)) => Some(format!("normal {} to {}", short_number(low), number(high))),
            (Some(low), None) => Some(format!("normal from {}", number(low))),
            (None, Some(high)) => Some(format!("normal up to {}", number(high))),
            (None, None) => None,
        };
        let low = self.alarm_low.map(|low| format!("low alarm {}", number(low)));
        let high = self.alarm_high.map(|high| format!("high alarm {}", number(high)));
        let words: Vec<String> = [normal, low, high].into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl TagReading {
    /// Whether the value stands for the present state of the plant.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !self.stale && self.quality != Quality::Bad && self.value.is_some()
    }

    /// When the value was taken. Where the source does not say, it follows from the age at `read_at`.
    #[must_use]
    pub fn taken_at(&self, read_at: Timestamp) -> Timestamp {
        let age = Duration::try_from_secs_f64(self.age_s).ok().and_then(|age| TimeDelta::from_std(age).ok());
        let by_age = || read_at.checked_sub_signed(age?);
        self.source_timestamp.or_else(by_age).unwrap_or(read_at)
    }

    /// Where the value lies in relation to the normal range; `None` if it is no number, no range is known, or the value
    /// is not to be used.
    #[must_use]
    pub fn range_position(&self) -> Option<RangePosition> {
        let value = self.value.as_ref().filter(|_| self.quality != Quality::Bad)?;
        self.limits.position_of(value.as_number()?)
    }

    /// Value, quality and age: `4.6 bar, good, 2 s old`. A value that is not to be used is left out.
    #[must_use]
    pub fn in_words(&self) -> String {
        let age = short_age(self.age_s);
        let value = self.value.as_ref().filter(|_| self.quality != Quality::Bad);
        let Some(value) = value.map(|value| value.with_unit(self.unit.as_deref())) else {
            return format!("BAD: not to be used ({age} old)");
        };
        let quality = match self.quality {
            Quality::Uncertain => "uncertain: may be wrong",
            Quality::Good | Quality::Bad => "good",
        };
        if self.stale {
            format!("STALE: last value {value} {age} ago, {quality} then; the present value is not known")
        } else {
            format!("{value}, {quality}, {age} old")
        }
    }
}

/// What the numbers of a history come to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistoryStatistics {
    /// The smallest number.
    pub lowest: f64,
    /// The largest number.
    pub highest: f64,
    /// The arithmetic mean of the points.
    pub mean: f64,
    /// The last number.
    pub last: f64,
}

impl TagHistory {
    /// The numbers of the points that may be used, oldest first.
    pub fn usable_numbers(&self) -> impl Iterator<Item = (Timestamp, f64)> + '_ {
        let usable = |point: &HistoryPoint| {
            let value = point.value.as_ref().filter(|_| point.quality != Quality::Bad)?;
            Some((point.at, value.as_number()?))
        };
        self.points.iter().filter_map(usable)
    }

    /// Lowest, highest, mean and last number; `None` if no point has one.
    #[must_use]
    pub fn statistics(&self) -> Option<HistoryStatistics> {
        let numbers: Vec<f64> = self.usable_numbers().map(|(_, number)| number).collect();
        let last = *numbers.last()?;
        let count = u32::try_from(numbers.len()).ok()?;
        let mean = numbers.iter().sum::<f64>() / f64::from(count);
        let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(HistoryStatistics { lowest, highest, mean, last })
    }

    /// The last point with a value that may be used.
    #[must_use]
    pub fn last_point(&self) -> Option<&HistoryPoint> {
        self.points.iter().rev().find(|point| point.value.is_some() && point.quality != Quality::Bad)
    }

    /// Time of the last point, if the period had more samples after it that were not read; `None` if all were.
    #[must_use]
    pub fn cut_off_at(&self) -> Option<Timestamp> {
        self.points.last().filter(|_| self.truncated).map(|point| point.at)
    }

    /// How the points were made: `averages over 300 s`, `samples`.
    #[must_use]
    pub fn method_in_words(&self) -> String {
        use super::Aggregate;
        let kind = match self.aggregate {
            Aggregate::Raw => return "samples".to_owned(),
            Aggregate::Min => "minima",
            Aggregate::Max => "maxima",
            Aggregate::Avg => "averages",
        };
        match self.interval_s {
            Some(seconds) => format!("{kind} over {seconds} s"),
            None => kind.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Classification;

    fn reading(value: f64, quality: Quality, stale: bool) -> TagReading {
        TagReading {
            tag: "PIT-1001".to_owned(),
            description: None,
            value: TagValue::number(value),
            unit: Some(" bar\n".to_owned()),
            quality,
            quality_code: None,
            source_timestamp: None,
            age_s: 720.0,
            stale,
            limits: TagLimits { normal_low: Some(5.0), normal_high: Some(7.0), ..TagLimits::default() },
            source: "simulator:demo".to_owned(),
            classification: Classification::Internal,
        }
    }

    #[test]
    fn numbers_have_about_four_digits() {
        let short = short_number;
        assert_eq!((short(4.583_333), short(4.6), short(20.0)), ("4.583".into(), "4.6".into(), "20".into()));
        assert_eq!(
            (short(2985.4), short(-0.000_000_000_1), short(0.0125)),
            ("2985".into(), "0".into(), "0.0125".into())
        );
    }

    #[test]
    fn a_value_is_never_without_its_quality_and_age() {
        assert_eq!(
            TagReading { age_s: 2.1, ..reading(4.6, Quality::Good, false) }.in_words(),
            "4.6 bar, good, 2 s old"
        );
        let stale = reading(4.6, Quality::Good, true).in_words();
        assert!(stale.starts_with("STALE: last value 4.6 bar 12 min ago"), "{stale}");
        let bad = reading(4.6, Quality::Bad, false).in_words();
        assert!(bad.starts_with("BAD: not to be used") && !bad.contains("4.6"), "{bad}");
        assert!(reading(4.6, Quality::Uncertain, false).in_words().contains("uncertain"));
    }

    #[test]
    fn a_value_is_compared_with_the_normal_range_unless_it_is_bad() {
        let position = |value, quality| reading(value, quality, false).range_position();
        assert_eq!(position(4.6, Quality::Good), Some(RangePosition::Below));
        assert_eq!(position(5.0, Quality::Uncertain), Some(RangePosition::Within));
        assert_eq!(position(7.1, Quality::Good), Some(RangePosition::Above));
        assert_eq!(position(7.1, Quality::Bad), None);
        let only_high = TagLimits { normal_high: Some(7.0), ..TagLimits::default() };
        assert_eq!(only_high.in_words(Some("bar")), Some("normal up to 7 bar".to_owned()));
        assert_eq!(TagLimits::default().position_of(1.0), None);
    }

    #[test]
    fn without_a_source_time_the_age_tells_when_the_value_was_taken() {
        let read_at = Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_000);
        let taken = reading(4.6, Quality::Good, false).taken_at(read_at);
        assert_eq!(taken, Timestamp::UNIX_EPOCH + TimeDelta::seconds(280));
    }
}
