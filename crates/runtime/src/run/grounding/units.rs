//! Units of measurement, their spellings and their conversion.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The dimension of a unit. Only units of the same dimension can be converted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dimension {
    Temperature,
    Share,
    Duration,
    /// Months and years: they have no fixed number of days.
    CalendarTime,
    Shifts,
    Pressure,
    Length,
    Speed,
    Volume,
    VolumeFlow,
    Mass,
    MassFlow,
    Power,
    Energy,
    Voltage,
    Current,
    Rotation,
    Frequency,
    Force,
    Torque,
    Concentration,
    Sound,
}

/// A unit. A value `v` in this unit is `v * factor + offset` in the base unit of its dimension.
#[derive(PartialEq, Debug)]
pub(super) struct Unit {
    pub dimension: Dimension,
    factor: f64,
    offset: f64,
    /// Spellings in lower case, separated by spaces.
    spellings: &'static str,
}

impl Unit {
    pub(super) fn to_base(&self, value: f64) -> f64 {
        value.mul_add(self.factor, self.offset)
    }

    pub(super) fn in_this_unit(&self, value: f64) -> f64 {
        (value - self.offset) / self.factor
    }
}

const fn unit(dimension: Dimension, factor: f64, spellings: &'static str) -> Unit {
    Unit { dimension, factor, offset: 0.0, spellings }
}

use Dimension as D;

const UNITS: &[Unit] = &[
    unit(D::Temperature, 1.0, "°c c degc celsius"),
    Unit { dimension: D::Temperature, factor: 5.0 / 9.0, offset: -160.0 / 9.0, spellings: "°f f degf fahrenheit" },
    unit(D::Share, 1.0, "% percent prozent"),
    unit(D::Duration, 1.0, "s sec secs second seconds sekunde sekunden"),
    unit(D::Duration, 60.0, "min mins minute minutes minuten"),
    unit(D::Duration, 3600.0, "h hr hrs hour hours stunde stunden betriebsstunde betriebsstunden"),
    unit(D::Duration, 86_400.0, "d day days tag tage tagen"),
    unit(D::Duration, 604_800.0, "week weeks woche wochen"),
    unit(D::CalendarTime, 1.0, "month months monat monate monaten monats"),
    unit(D::CalendarTime, 3.0, "quarter quarters quartal quartale"),
    unit(D::CalendarTime, 12.0, "year years jahr jahre jahren jahres"),
    unit(D::Shifts, 1.0, "shift shifts schicht schichten"),
    unit(D::Pressure, 1.0, "pa"),
    unit(D::Pressure, 100.0, "mbar hpa millibar"),
    unit(D::Pressure, 1000.0, "kpa"),
    unit(D::Pressure, 100_000.0, "bar barg bar(g) bar(a) bara barü"),
    unit(D::Pressure, 1_000_000.0, "mpa"),
    unit(D::Pressure, 6_894.757_293, "psi psig psia psi(g)"),
    unit(D::Length, 0.001, "µm μm um micron microns micrometre micrometres mikrometer"),
    unit(D::Length, 1.0, "mm millimetre millimetres millimeter millimeters millimetern"),
    unit(D::Length, 10.0, "cm centimetre centimetres centimeter centimeters zentimeter zentimetern"),
    unit(D::Length, 1000.0, "m metre metres meter meters metern"),
    unit(D::Length, 1_000_000.0, "km kilometre kilometres kilometer kilometers"),
    unit(D::Length, 25.4, "inch inches in zoll \""),
    unit(D::Length, 304.8, "ft foot feet fuß"),
    unit(D::Speed, 0.001, "mm/s"),
    unit(D::Speed, 0.01, "cm/s"),
    unit(D::Speed, 1.0, "m/s"),
    unit(D::Speed, 1.0 / 60.0, "m/min"),
    unit(D::Speed, 1.0 / 3.6, "km/h"),
    unit(D::Volume, 0.001, "ml millilitre millilitres milliliter milliliters millilitern"),
    unit(D::Volume, 1.0, "l litre litres liter liters litern"),
    unit(D::Volume, 1000.0, "m³ m3 kubikmeter kubikmetern"),
    unit(D::Volume, 3.785_411_784, "gal gallon gallons"),
    unit(D::VolumeFlow, 1.0, "l/h"),
    unit(D::VolumeFlow, 60.0, "l/min"),
    unit(D::VolumeFlow, 3600.0, "l/s"),
    unit(D::VolumeFlow, 1000.0, "m³/h m3/h"),
    unit(D::VolumeFlow, 60_000.0, "m³/min m3/min"),
    unit(D::VolumeFlow, 227.124_707, "gpm"),
    unit(D::Mass, 0.001, "g gram grams gramm"),
    unit(D::Mass, 1.0, "kg kilogram kilograms kilogramm"),
    unit(D::Mass, 1000.0, "t tonne tonnes tonnen"),
    unit(D::Mass, 0.453_592_37, "lb lbs pound pounds"),
    unit(D::MassFlow, 1.0, "kg/h"),
    unit(D::MassFlow, 1000.0, "t/h"),
    unit(D::Power, 0.001, "w watt"),
    unit(D::Power, 1.0, "kw kilowatt"),
    unit(D::Power, 1000.0, "mw megawatt"),
    unit(D::Energy, 1.0, "kwh"),
    unit(D::Energy, 1000.0, "mwh"),
    unit(D::Voltage, 0.001, "mv"),
    unit(D::Voltage, 1.0, "v volt volts"),
    unit(D::Voltage, 1000.0, "kv"),
    unit(D::Current, 0.001, "ma"),
    unit(D::Current, 1.0, "a amp amps ampere"),
    unit(D::Rotation, 1.0, "rpm 1/min u/min r/min min⁻¹"),
    unit(D::Frequency, 1.0, "hz"),
    unit(D::Frequency, 1000.0, "khz"),
    unit(D::Force, 1.0, "n newton"),
    unit(D::Force, 1000.0, "kn"),
    unit(D::Torque, 1.0, "nm n·m n.m n*m newtonmeter"),
    unit(D::Torque, 1.355_817_948, "lbf·ft ft-lb ft·lb lb-ft ft-lbs"),
    unit(D::Concentration, 1.0, "ppm mg/l mg/kg"),
    unit(D::Concentration, 1000.0, "g/l"),
    unit(D::Sound, 1.0, "db db(a)"),
];
/// Words between a number and its unit that do not change the unit.
const QUALIFIERS: &[&str] =
    &["operating", "running", "service", "working", "calendar", "full", "degrees", "degree", "grad", "volle", "vollen"];
/// Spelled-out numbers up to twelve, in both languages. The words for one are mostly articles or pronouns, so they
/// count only before a unit.
const NUMBER_WORDS: &[&str] = &[
    "one eins ein eine einen einem einer",
    "two zwei",
    "three drei",
    "four vier",
    "five fünf",
    "six sechs",
    "seven sieben",
    "eight acht",
    "nine neun",
    "ten zehn",
    "eleven elf",
    "twelve zwölf",
];

static BY_SPELLING: LazyLock<HashMap<&str, &Unit>> =
    LazyLock::new(|| UNITS.iter().flat_map(|unit| unit.spellings.split(' ').map(move |word| (word, unit))).collect());
static NUMBERS: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let numbers = (1_u8..).zip(NUMBER_WORDS);
    numbers.flat_map(|(n, words)| words.split(' ').map(move |word| (word, f64::from(n)))).collect()
});

/// Returns the unit with this spelling, in any case.
pub(super) fn unit_named(spelling: &str) -> Option<&'static Unit> {
    BY_SPELLING.get(spelling.to_lowercase().as_str()).copied()
}

/// Returns the value of a spelled-out number in lower case.
pub(super) fn number_named(word: &str) -> Option<f64> {
    NUMBERS.get(word).copied()
}

/// Returns whether a word in lower case is a unit of more than one letter, or a spelled-out number.
pub(super) fn is_unit_or_number(word: &str) -> bool {
    number_named(word).is_some() || (word.len() > 1 && unit_named(word).is_some())
}

/// Returns the unit with which a text begins, after a space or a hyphen and at most one qualifier.
pub(super) fn unit_prefix(text: &str) -> Option<&'static Unit> {
    let (word, rest) = first_word(text);
    let is_qualified = QUALIFIERS.contains(&word.to_lowercase().as_str()) && rest.starts_with(' ');
    let (word, rest) = if is_qualified { first_word(rest) } else { (word, rest) };
    let word = if word.starts_with('"') { "\"" } else { word.trim_end_matches(['"', '”', '*', '.']) };
    let word = word.trim_end_matches(['.', ')']);
    // `in` is a unit only where no noun follows that it could be the preposition of.
    if word.eq_ignore_ascii_case("in") && rest.trim_start().starts_with(char::is_alphanumeric) {
        return None;
    }
    if word.contains('(') { unit_named(&format!("{word})")) } else { unit_named(word) }
}

/// Splits a text after its first word.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.strip_prefix([' ', '\u{a0}', '\u{202f}', '-']).unwrap_or(text);
    text.split_at(text.find(|c: char| c.is_whitespace() || ",;:!?[]|".contains(c)).unwrap_or(text.len()))
}
