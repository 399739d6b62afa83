//! Sanitizes the data of a source for the database: texts without U+0000 and of bounded length, numbers that JSON in
//! PostgreSQL returns unchanged.

use domain::json_value::MAX_NUMBER;
use domain::plant::{OfferedTag, Quality, Sample, TagValue};

/// Maximum length of a source's text, in characters.
const MAX_CHARS: usize = 1_000;

/// Cleans the texts and the value of a sample. A number that cannot be stored makes it bad.
pub(super) fn clean_sample(sample: Sample) -> Sample {
    let Sample { value, unit, mut quality, quality_code, source_timestamp, received_at } = sample;
    let value = match value {
        Some(TagValue::Number(number)) if !number.is_finite() || number.abs() > MAX_NUMBER => {
            quality = Quality::Bad;
            None
        }
        Some(TagValue::Text(text)) => Some(TagValue::Text(clean_text(&text))),
        other => other,
    };
    let (unit, quality_code) = (unit.as_deref().map(clean_text), quality_code.as_deref().map(clean_text));
    Sample { value, unit, quality, quality_code, source_timestamp, received_at }
}

/// Cleans the texts of a tag that a source offers.
pub(super) fn clean_offered(tag: OfferedTag) -> OfferedTag {
    let OfferedTag { name, mut mapping, unit, description } = tag;
    mapping.address.0 = clean_text(&mapping.address.0);
    OfferedTag {
        name: clean_text(&name),
        mapping,
        unit: unit.as_deref().map(clean_text),
        description: description.as_deref().map(clean_text),
    }
}

/// A text without U+0000, of at most 1,000 characters.
pub(super) fn clean_text(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Timestamp;

    #[test]
    fn texts_lose_what_cannot_be_stored_and_numbers_that_cannot_be_are_bad() {
        let now = Timestamp::UNIX_EPOCH;
        let sample =
            |value| Sample { value: Some(value), quality: Quality::Good, ..Sample::without_value("a\0b", now) };
        let text = clean_sample(sample(TagValue::Text("open\0".to_owned())));
        assert_eq!(text.value, Some(TagValue::Text("open".to_owned())));
        assert_eq!(text.quality_code.as_deref(), Some("ab"));
        let huge = clean_sample(sample(TagValue::Number(1e307)));
        assert_eq!((huge.value, huge.quality), (None, Quality::Bad));
        let number = clean_sample(sample(TagValue::Number(20.2)));
        assert_eq!((number.value, number.quality), (Some(TagValue::Number(20.2)), Quality::Good));
        assert_eq!(clean_text(&"x".repeat(5_000)).len(), MAX_CHARS);
    }
}
