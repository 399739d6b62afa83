//! Finds numbers with their units, and compares them regardless of how they are written.

use super::periods::{Period, periods};
use super::units::{Dimension, Unit, number_named, unit_prefix};

/// Maximum difference of a converted and rounded value, as a share of the value.
const MAX_ROUNDING: f64 = 0.02;

/// A number in a text, with its unit if one follows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Quantity {
    /// The possible values: `1,500` is 1.5 or 1500. Empty for a date or a version.
    values: Vec<f64>,
    /// The digits as written.
    text: String,
    /// `None` if no known unit follows.
    unit: Option<&'static Unit>,
    /// Whether the text states it without a number: `weekly`.
    is_implied: bool,
    /// Whether another word than a unit follows, so that it has no unit: `6 valves`.
    counts_things: bool,
}

impl Quantity {
    /// Returns whether this states the same as `other`, if need be converted and rounded to this one's digits. A number
    /// without a unit, as in a table whose header has it, agrees with any unit of a number without a noun.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        if self.values.is_empty() {
            return self.text == other.text;
        }
        match (self.unit, other.unit) {
            (Some(unit), Some(other_unit)) if unit == other_unit => self.has_same_value_as(other),
            (Some(unit), Some(other_unit)) => {
                unit.dimension == other_unit.dimension && self.is_rounded_from(unit, other, other_unit)
            }
            (Some(_), None) if other.counts_things => false,
            (None, Some(_)) if self.counts_things => false,
            _ => !self.is_implied && !other.is_implied && self.has_same_value_as(other),
        }
    }

    pub(super) fn is_implied(&self) -> bool {
        self.is_implied
    }

    pub(super) fn has_unit(&self) -> bool {
        self.unit.is_some()
    }

    /// Returns whether both measure the same, such as a pressure or a duration, or both are numbers of things.
    pub(super) fn is_comparable_with(&self, other: &Self) -> bool {
        let dimension = |quantity: &Self| quantity.unit.map(|unit| unit.dimension);
        let is_time = |quantity: &Self| {
            matches!(dimension(quantity), Some(Dimension::Duration | Dimension::CalendarTime | Dimension::Shifts))
        };
        (self.unit.is_none() && other.unit.is_none() && self.counts_things == other.counts_things)
            || (dimension(self).is_some() && dimension(self) == dimension(other))
            || (is_time(self) && is_time(other))
    }

    /// Stems of the words for what this measures, which a text with the quantity may leave out.
    pub(super) fn measured(&self) -> &'static [&'static str] {
        match self.unit.map(|unit| unit.dimension) {
            Some(Dimension::Pressure) => &["pressure", "pressur", "druck"],
            Some(Dimension::Temperature) => &["temperature"],
            Some(Dimension::Rotation) => &["speed"],
            Some(Dimension::Power) => &["power", "leistung"],
            Some(Dimension::Torque) => &["tighten", "torqu", "drehmoment"],
            Some(Dimension::Volume) => &["amount"],
            Some(Dimension::Duration | Dimension::CalendarTime) => &["dauert", "dauer"],
            _ => &[],
        }
    }

    fn has_same_value_as(&self, other: &Self) -> bool {
        let is_close = |a: &f64, b: &f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        self.values.iter().any(|a| other.values.iter().any(|b| is_close(a, b)))
    }

    /// Returns whether this is the other value in this unit, rounded to the digits as written.
    fn is_rounded_from(&self, unit: &Unit, other: &Self, other_unit: &Unit) -> bool {
        let is_rounded = |value: f64, exact: f64| {
            let max_difference = match unit.dimension {
                Dimension::Temperature => self.last_digit() / 2.0,
                _ => (self.last_digit() / 2.0).min(MAX_ROUNDING * exact.abs()),
            };
            (value - exact).abs() <= max_difference + 1e-9 * exact.abs()
        };
        let exact = |value: &f64| unit.in_this_unit(other_unit.to_base(*value));
        self.values.iter().any(|value| other.values.iter().any(|other| is_rounded(*value, exact(other))))
    }

    /// Returns the value of one in the last digit that is written and is not zero before the point: 10 for `230`, 0.1
    /// for `3.5`. Temperatures are mostly written to the degree, so zeros count in them.
    fn last_digit(&self) -> f64 {
        let exponent = match self.text.split_once(['.', ',']) {
            Some((_, fraction)) => -i32::try_from(fraction.len()).unwrap_or(0),
            None if self.unit.is_some_and(|unit| unit.dimension == Dimension::Temperature) => 0,
            None => i32::try_from(self.text.len() - self.text.trim_end_matches('0').len()).unwrap_or(0),
        };
        10_f64.powi(exponent)
    }
}

/// Returns the quantities in a text. Digits within a word, as in `P-101A`, are not quantities.
pub(super) fn quantities(text: &str) -> Vec<Quantity> {
    let periods = periods(text);
    let is_in_period = |at: usize| periods.iter().any(|period| period.span.contains(&at));
    let mut found: Vec<Quantity> = periods.iter().map(implied).collect();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        let is_word_start = !(before.is_alphanumeric() || before == '-' && ends_in_letter_and_hyphen(text, rest));
        if is_word_start && c.is_ascii_digit() {
            let number = number_prefix(rest);
            let after = &rest[number.len()..];
            let sign = if is_negative(&text[..at]) { -1.0 } else { 1.0 };
            let values = values(number).into_iter().map(|value| value * sign).collect();
            if !is_in_period(at) {
                let text = number.replace(is_narrow_space, "");
                let unit = unit_prefix(after);
                let counts_things = unit.is_none() && begins_with_word(after);
                found.push(Quantity { values, text, unit, is_implied: false, counts_things });
            }
            rest = after;
            before = '0';
        } else if is_word_start && c.is_alphabetic() {
            let word = word_prefix(rest);
            found.extend(spelled_out(word, &rest[word.len()..]).filter(|_| !is_in_period(at)));
            rest = &rest[word.len()..];
            before = 'a';
        } else {
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    found
}

fn implied(period: &Period) -> Quantity {
    Quantity {
        values: vec![period.value],
        text: String::new(),
        unit: Some(period.unit),
        is_implied: true,
        counts_things: false,
    }
}

/// Returns the quantity that a spelled-out number and the text after it state. The words for one are mostly articles,
/// so they count only before a unit.
fn spelled_out(word: &str, after: &str) -> Option<Quantity> {
    let lower = word.to_lowercase();
    let value = number_named(&lower)?;
    let unit = unit_prefix(after);
    let is_number = value > 1.0 || unit.is_some();
    let counts_things = unit.is_none() && begins_with_word(after);
    is_number.then(|| Quantity { values: vec![value], text: String::new(), unit, is_implied: false, counts_things })
}

/// Returns whether a word follows that can be what a number counts.
fn begins_with_word(text: &str) -> bool {
    text.strip_prefix([' ', '\u{a0}']).is_some_and(|text| text.starts_with(char::is_alphabetic) && text.len() > 3)
}

/// Returns whether a number after this text is negative: `-20`, `minus 20`, but not `5-20` or `- 20`.
fn is_negative(before: &str) -> bool {
    let sign = before.strip_suffix(['-', '−', '–']);
    sign.is_some_and(|before| before.chars().next_back().is_none_or(|c| c.is_whitespace() || c == '('))
        || before.ends_with("minus ")
        || before.ends_with("Minus ")
}

fn is_narrow_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// Returns whether `rest` follows a letter and a hyphen, as `101` in `P-101`.
fn ends_in_letter_and_hyphen(text: &str, rest: &str) -> bool {
    let mut before = text[..text.len() - rest.len()].chars().rev();
    before.next() == Some('-') && before.next().is_some_and(char::is_alphanumeric)
}

fn word_prefix(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len())]
}

/// Returns the digits at the beginning of a text, with separators between them.
fn number_prefix(text: &str) -> &str {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    loop {
        if is_digit(end) || (end > 0 && matches!(bytes.get(end), Some(b'.' | b',')) && is_digit(end + 1)) {
            end += 1;
            continue;
        }
        // A narrow space separates thousands, so three digits follow it.
        let space = text[end..].chars().next().filter(|c| end > 0 && is_narrow_space(*c)).map_or(0, char::len_utf8);
        let digits = (0..4).take_while(|n| is_digit(end + space + n)).count();
        if space == 0 || digits != 3 {
            return &text[..end];
        }
        end += space + digits;
    }
}

fn values(number: &str) -> Vec<f64> {
    let number = &number.replace(is_narrow_space, "");
    let parse = |digits: String| digits.parse::<f64>().ok();
    let groups: Vec<&str> = number.split(['.', ',']).collect();
    let separators: Vec<char> = number.chars().filter(|c| !c.is_ascii_digit()).collect();
    let are_thousands =
        |groups: &[&str]| groups.len() > 1 && groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let mut found = Vec::new();
    match separators.as_slice() {
        [] => found.extend(parse(number.to_owned())),
        [_] => {
            found.extend(parse(groups.join(".")));
            if are_thousands(&groups) {
                found.extend(parse(groups.concat()));
            }
        }
        [first, .., last] => {
            let (whole, fraction) = groups.split_at(groups.len() - 1);
            if first == last && are_thousands(&groups) {
                found.extend(parse(groups.concat()));
            } else if first != last && are_thousands(whole) {
                found.extend(parse(format!("{}.{}", whole.concat(), fraction.concat())));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(a: &str, b: &str) -> bool {
        let (a, b) = (quantities(a), quantities(b));
        assert!(a.len() == 1 && !b.is_empty(), "{a:?} {b:?}");
        b.iter().any(|other| a[0].agrees_with(other))
    }

    #[test]
    fn the_same_quantity_agrees_in_each_spelling() {
        for (a, b) in [
            ("4.2 bar", "4,2 bar"),
            ("4.2bar", "at 4.20 bar."),
            ("1,500 rpm", "1500 1/min"),
            ("1.500 h", "every 1,500 hours"),
            ("1 234,5 kg", "234,5"),
            ("95 °C", "95°C"),
            ("two weeks", "2 weeks"),
            ("480 Nm", "480 N·m"),
            ("16 bar(g)", "16 bar"),
            ("8 hours", "| 8 | 16 |"),
            ("12.03.2024", "on 12.03.2024"),
            ("4\u{202f}000 h", "every 4,000 operating hours"),
            ("weekly", "every 7 days"),
            ("annually", "every 12 months"),
            ("alle sechs Monate", "twice a year"),
            ("one hour", "60 min"),
            ("1600 kPa", "16 bar"),
            ("232 psi", "16 bar"),
            ("203 °F", "95 °C"),
            ("2.5 cm", "25 mm"),
            ("4 inches", "100 mm"),
            ("0.25 MW", "250 kW"),
            ("1.5 m³", "1500 litres"),
            ("-20 °C", "minus 20 °C"),
        ] {
            let a = a.trim_start_matches("1 ");
            assert!(agrees(a, b), "{a} / {b}");
        }
    }

    #[test]
    fn another_number_or_unit_does_not_agree() {
        for (a, b) in [
            ("4.2 bar", "42 bar"),
            ("5 bar", "5 °C"),
            ("2 weeks", "2 days"),
            ("12.03.2024", "12.04.2024"),
            ("weekly", "monthly"),
            ("weekly", "1 valve"),
            ("yearly", "every 6 months"),
            ("160 kPa", "16 bar"),
            ("1610 kPa", "16 bar"),
            ("200 °F", "95 °C"),
            ("25 cm", "25 mm"),
            ("-20 °C", "20 °C"),
        ] {
            assert!(!agrees(a, b), "{a} / {b}");
        }
    }

    #[test]
    fn digits_of_identifiers_are_not_quantities() {
        assert_eq!(quantities("P-101A, FV2003 and SOP-MNT-014 of one pump"), []);
        assert_eq!(quantities("ISO VG 46").len(), 1);
    }
}
