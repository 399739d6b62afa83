//! Values of PI Web API.

use crate::failure;
use crate::sample;
use chrono::{DateTime, Utc};
use domain::plant::{Quality, Sample, TagMapping, TagValue};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A value as `streams/{webId}/value` and `recorded` return it. Every field may be missing.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TimedValue {
    pub timestamp: Option<String>,
    pub value: Value,
    pub units_abbreviation: Option<String>,
    pub good: Option<bool>,
    pub questionable: bool,
    pub substituted: bool,
    /// Errors in place of a value; the status of the response is 200 nevertheless.
    pub errors: Vec<Value>,
}

/// The state of a digital tag, or an error in place of a value.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ValueObject {
    name: Option<String>,
    /// Whether the state is PI's own, such as `I/O Timeout`, and so no value of the tag.
    is_system: bool,
    errors: Vec<Value>,
}

impl TimedValue {
    pub fn to_sample(&self, mapping: &TagMapping, received_at: Timestamp) -> Sample {
        if !self.errors.is_empty() {
            return sample::without_value(error_code(&self.errors), received_at);
        }
        let read = read_value(&self.value);
        let value = read.value.and_then(|value| sample::scaled_value(value, mapping));
        let (quality, word) = match (&value, self.good, self.questionable, self.substituted) {
            (None, ..) | (_, Some(false), ..) => (Quality::Bad, "Bad"),
            (_, _, true, _) => (Quality::Uncertain, "Questionable"),
            (_, _, _, true) => (Quality::Uncertain, "Substituted"),
            (_, Some(true), ..) => (Quality::Good, "Good"),
            (_, None, ..) => (Quality::Uncertain, "Unknown"),
        };
        Sample {
            value,
            unit: self.units_abbreviation.as_deref().and_then(sample::unit),
            quality,
            quality_code: Some(read.code.unwrap_or_else(|| format!("PI:{word}"))),
            source_timestamp: self.timestamp.as_deref().and_then(time),
            received_at,
        }
    }
}

/// A value, or the reason why there is none.
struct ReadValue {
    value: Option<TagValue>,
    code: Option<String>,
}

fn read_value(value: &Value) -> ReadValue {
    let plain = |value| ReadValue { value, code: None };
    match value {
        Value::Number(number) => plain(number.as_f64().and_then(TagValue::number)),
        Value::Bool(value) => plain(Some(TagValue::Bool(*value))),
        Value::String(text) => plain(Some(sample::text(text))),
        Value::Object(_) => {
            let object: ValueObject = serde_json::from_value(value.clone()).unwrap_or_default();
            match object.name {
                _ if !object.errors.is_empty() => ReadValue { value: None, code: Some(error_code(&object.errors)) },
                Some(name) if object.is_system => {
                    ReadValue { value: None, code: Some(format!("PI:{}", failure::foreign(&name))) }
                }
                Some(name) => plain(Some(sample::text(&name))),
                None => plain(None),
            }
        }
        Value::Null | Value::Array(_) => plain(None),
    }
}

/// The first error, as a quality code.
pub fn error_code(errors: &[Value]) -> String {
    let first = errors.first().map(|error| match error {
        Value::String(text) => text.clone(),
        // As in `{"FieldName":"","Message":["…"]}`.
        Value::Object(fields) => match fields.get("Message") {
            Some(Value::Array(lines)) => lines.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    });
    format!("PI:error:{}", failure::foreign(&first.unwrap_or_default()))
}

fn time(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| sample::truncate_to_stored_precision(time.with_timezone(&Utc)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::TagAddress;

    #[test]
    fn golden_values() {
        let golden: Vec<Value> = serde_json::from_str(include_str!("../../tests/golden/pi-values.json")).unwrap();
        assert!(golden.len() >= 10);
        let mapping = TagMapping { address: TagAddress("W".into()), data_type: None, scale: None };
        for case in golden {
            let value: TimedValue = serde_json::from_value(case["answer"].clone()).unwrap();
            let sample = value.to_sample(&mapping, DateTime::UNIX_EPOCH);
            let found = serde_json::json!({
                "value": sample.value,
                "quality": sample.quality,
                "code": sample.quality_code,
                "unit": sample.unit,
                "at": sample.source_timestamp.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)),
            });
            assert_eq!(found, case["sample"], "{}", case["answer"]);
        }
    }
}
