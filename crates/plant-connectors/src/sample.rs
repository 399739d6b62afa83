//! Construction of samples.

use chrono::{DateTime, SubsecRound as _};
use domain::plant::{Quality, Sample, TagMapping, TagValue};
use domain::time::Timestamp;

/// Maximum length of a text value, in bytes; longer texts are truncated.
const MAX_TEXT: usize = 1_024;
/// Maximum length of a unit, in characters.
const MAX_UNIT: usize = 32;
/// Number of decimal places of a second that the platform stores.
const SUBSECOND_DIGITS: u16 = 6;

/// A sample without a value.
pub fn without_value(quality_code: impl Into<String>, received_at: Timestamp) -> Sample {
    Sample {
        value: None,
        unit: None,
        quality: Quality::Bad,
        quality_code: Some(quality_code.into()),
        source_timestamp: None,
        received_at,
    }
}

/// A number in the tag's unit; `None` if it is infinite or not a number.
pub fn scaled(value: f64, mapping: &TagMapping) -> Option<TagValue> {
    TagValue::number(value * mapping.scale.unwrap_or(1.0))
}

/// A value in the tag's unit, if it is a number; others are left as they are.
pub fn scaled_value(value: TagValue, mapping: &TagMapping) -> Option<TagValue> {
    match value {
        TagValue::Number(number) => scaled(number, mapping),
        other => Some(other),
    }
}

/// A single-precision number with its shortest decimal digits: 2.6, not 2.5999999046325684.
pub fn single_as_double(single: f32) -> f64 {
    if single.is_finite() { single.to_string().parse().unwrap_or(f64::from(single)) } else { f64::from(single) }
}

/// A text of a plant system as a value.
pub fn text(value: &str) -> TagValue {
    TagValue::Text(value.get(..value.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned())
}

/// The unit that a plant system states; `None` if it states none.
pub fn unit(text: &str) -> Option<String> {
    let unit: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_UNIT).collect();
    (!unit.is_empty()).then_some(unit)
}

/// Milliseconds since 1970 as a time; `None` if they are out of range.
pub fn from_millis(millis: i64) -> Option<Timestamp> {
    DateTime::from_timestamp_millis(millis)
}

/// Truncates a time to the precision that the platform stores (microseconds).
pub fn truncate_to_stored_precision(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(SUBSECOND_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::TagAddress;

    #[test]
    fn numbers_are_scaled_and_others_are_not() {
        let mapping = TagMapping { address: TagAddress("x".into()), data_type: None, scale: Some(0.1) };
        assert_eq!(scaled(25.0, &mapping), Some(TagValue::Number(2.5)));
        assert_eq!(scaled(f64::NAN, &mapping), None);
        assert_eq!(scaled_value(TagValue::Bool(true), &mapping), Some(TagValue::Bool(true)));
    }

    #[test]
    fn singles_keep_their_digits() {
        assert_eq!(single_as_double(2.6).to_string(), "2.6");
        assert!(single_as_double(f32::NAN).is_nan());
    }

    #[test]
    fn foreign_texts_are_bounded() {
        assert_eq!(text(&"ä".repeat(1_000)), TagValue::Text("ä".repeat(512)));
        assert_eq!(unit("  bar\u{0} "), Some("bar".to_owned()));
        assert_eq!(unit(" "), None);
    }
}
