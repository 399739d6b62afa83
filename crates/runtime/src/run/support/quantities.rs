//! Finds numbers with their units, and compares them regardless of how they are written.

/// Units, each with its spellings; the first one is the symbol.
const UNITS: &[&[&str]] = &[
    &["°c", "c", "degc", "celsius"],
    &["°f", "f", "degf", "fahrenheit"],
    &["%", "percent", "prozent"],
    &["h", "hr", "hrs", "hour", "hours", "stunde", "stunden"],
    &["min", "mins", "minute", "minutes", "minuten"],
    &["s", "sec", "secs", "second", "seconds", "sekunde", "sekunden"],
    &["d", "day", "days", "tag", "tage", "tagen"],
    &["week", "weeks", "woche", "wochen"],
    &["month", "months", "monat", "monate", "monaten"],
    &["year", "years", "jahr", "jahre", "jahren"],
    &["bar", "barg", "bar(g)"],
    &["mbar"],
    &["psi", "psig"],
    &["pa"],
    &["kpa"],
    &["mpa"],
    &["mm", "millimetre", "millimetres", "millimeter", "millimeters"],
    &["cm"],
    &["m", "metre", "metres", "meter", "meters"],
    &["km"],
    &["µm", "μm", "um", "micron", "microns"],
    &["mm/s"],
    &["m/s"],
    &["l", "litre", "litres", "liter", "liters"],
    &["ml"],
    &["m³", "m3"],
    &["m³/h", "m3/h"],
    &["l/min"],
    &["kg"],
    &["g"],
    &["t"],
    &["w"],
    &["kw"],
    &["mw"],
    &["v"],
    &["kv"],
    &["a"],
    &["ma"],
    &["hz"],
    &["rpm", "1/min", "u/min", "r/min"],
    &["n"],
    &["kn"],
    &["nm", "n·m", "n.m", "n*m"],
    &["ppm"],
    &["db", "db(a)"],
];
/// Spelled-out numbers. `one` is left out, since it is mostly a pronoun.
const NUMBER_WORDS: &[(&str, f64)] = &[
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("twelve", 12.0),
    ("zwei", 2.0),
    ("drei", 3.0),
    ("vier", 4.0),
    ("fünf", 5.0),
    ("sechs", 6.0),
    ("sieben", 7.0),
    ("acht", 8.0),
    ("neun", 9.0),
    ("zehn", 10.0),
    ("zwölf", 12.0),
];

/// A number in a text, with its unit if one follows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Quantity {
    /// The possible values: `1,500` is 1.5 or 1500. Empty for a date or a version.
    values: Vec<f64>,
    /// The digits as written.
    text: String,
    /// Symbol of the unit; `None` if no known unit follows.
    unit: Option<&'static str>,
}

impl Quantity {
    /// Returns whether this states the same as `other`. A number without a unit, as in a table whose header has it,
    /// agrees with any unit.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let is_close = |a: &f64, b: &f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        let is_same_number =
            self.text == other.text || self.values.iter().any(|a| other.values.iter().any(|b| is_close(a, b)));
        is_same_number && (self.unit.is_none() || other.unit.is_none() || self.unit == other.unit)
    }
}

/// Returns the quantities in a text. Digits within a word, as in `P-101A`, are not quantities.
pub(super) fn quantities(text: &str) -> Vec<Quantity> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let is_word_start = !(before.is_alphanumeric() || before == '-' && ends_in_letter_and_hyphen(text, rest));
        if is_word_start && c.is_ascii_digit() {
            let number = number_prefix(rest);
            let after = &rest[number.len()..];
            found.push(Quantity { values: values(number), text: number.to_owned(), unit: unit_prefix(after) });
            rest = after;
            before = '0';
        } else if is_word_start && c.is_alphabetic() {
            let word = word_prefix(rest);
            if let Some((_, value)) = NUMBER_WORDS.iter().find(|(name, _)| word.to_lowercase() == *name) {
                let unit = unit_prefix(&rest[word.len()..]);
                found.push(Quantity { values: vec![*value], text: word.to_lowercase(), unit });
            }
            rest = &rest[word.len()..];
            before = 'a';
        } else {
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    found
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
    while is_digit(end) || (end > 0 && matches!(bytes.get(end), Some(b'.' | b',')) && is_digit(end + 1)) {
        end += 1;
    }
    &text[..end]
}

fn values(number: &str) -> Vec<f64> {
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

/// Returns the unit with which a text begins, after a space or a hyphen.
fn unit_prefix(text: &str) -> Option<&'static str> {
    let text = text.strip_prefix([' ', '\u{a0}', '\u{202f}', '-']).unwrap_or(text);
    let end = text.find(|c: char| c.is_whitespace() || ",;:!?[]\"|".contains(c)).unwrap_or(text.len());
    let word = text[..end].trim_end_matches('.').trim_end_matches(')').to_lowercase();
    let word = if word.contains('(') { format!("{word})") } else { word };
    UNITS.iter().find(|spellings| spellings.contains(&word.as_str())).map(|spellings| spellings[0])
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
        ] {
            let a = a.trim_start_matches("1 ");
            assert!(agrees(a, b), "{a} / {b}");
        }
    }

    #[test]
    fn another_number_or_unit_does_not_agree() {
        for (a, b) in [("4.2 bar", "42 bar"), ("5 bar", "5 °C"), ("2 weeks", "2 days"), ("12.03.2024", "12.04.2024")] {
            assert!(!agrees(a, b), "{a} / {b}");
        }
    }

    #[test]
    fn digits_of_identifiers_are_not_quantities() {
        assert_eq!(quantities("P-101A, FV2003 and SOP-MNT-014 of one pump"), []);
        assert_eq!(quantities("ISO VG 46").len(), 1);
    }
}
