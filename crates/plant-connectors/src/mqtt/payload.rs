//! Parsing of plain messages: a number, or JSON with `value`, `timestamp`, `quality` and `unit`.

use crate::sample;
use chrono::{DateTime, Utc};
use domain::plant::{Quality, Sample, TagValue};
use domain::time::Timestamp;
use serde_json::{Map, Value};

/// The lowest numbers of good and of uncertain OPC qualities (OPC DA).
const DA_GOOD: f64 = 192.0;
const DA_UNCERTAIN: f64 = 64.0;
/// Numbers above this are milliseconds since 1970, those below are seconds: this second is in the year 5138.
const LATEST_SECOND: f64 = 1e11;

/// The sample of a message. Its number is not scaled yet.
pub fn sample(payload: &[u8], retained: bool, received_at: Timestamp) -> Sample {
    let text = String::from_utf8_lossy(payload);
    let text = text.trim();
    let unreadable = || sample::without_value("mqtt:unreadable", received_at);
    let mut sample = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => match from_object(&fields, received_at) {
            Some(sample) => sample,
            None => return unreadable(),
        },
        Ok(value) => match to_value(&value) {
            Some(value) => stated_nothing(value, received_at),
            None => return unreadable(),
        },
        // JSON has no `+1`, `1.` or `.5`, which instruments write.
        Err(_) => match text.parse().ok().and_then(TagValue::number) {
            Some(value) => stated_nothing(value, received_at),
            None => return unreadable(),
        },
    };
    // A retained message may be of any age, whatever quality it had.
    if retained && sample.source_timestamp.is_none() {
        sample.quality = sample.quality.max(Quality::Uncertain);
        sample.quality_code = Some("mqtt:retained".to_owned());
    }
    sample
}

/// A value without metadata.
fn stated_nothing(value: TagValue, received_at: Timestamp) -> Sample {
    Sample {
        value: Some(value),
        unit: None,
        quality: Quality::Uncertain,
        quality_code: None,
        source_timestamp: None,
        received_at,
    }
}

/// `None` without a value.
fn from_object(fields: &Map<String, Value>, received_at: Timestamp) -> Option<Sample> {
    let value = to_value(fields.get("value")?);
    let stated = fields.get("quality").filter(|quality| !quality.is_null());
    let quality = stated.and_then(quality).unwrap_or(Quality::Uncertain);
    Some(Sample {
        quality: if value.is_some() { quality } else { Quality::Bad },
        quality_code: stated.map(|stated| format!("mqtt:{}", code(stated))),
        value,
        unit: fields.get("unit").and_then(Value::as_str).and_then(sample::unit),
        source_timestamp: fields.get("timestamp").and_then(time),
        received_at,
    })
}

fn to_value(value: &Value) -> Option<TagValue> {
    match value {
        Value::Number(number) => number.as_f64().and_then(TagValue::number),
        Value::Bool(value) => Some(TagValue::Bool(*value)),
        Value::String(text) => Some(sample::text(text)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn quality(stated: &Value) -> Option<Quality> {
    match stated {
        Value::String(word) => word.to_ascii_lowercase().parse().ok(),
        Value::Bool(good) => Some(if *good { Quality::Good } else { Quality::Bad }),
        Value::Number(number) => number.as_f64().map(|number| match number {
            number if number >= DA_GOOD => Quality::Good,
            number if number >= DA_UNCERTAIN => Quality::Uncertain,
            _ => Quality::Bad,
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn code(stated: &Value) -> String {
    let text = stated.as_str().map_or_else(|| stated.to_string(), str::to_owned);
    sample::unit(&text).unwrap_or_default()
}

/// RFC 3339, or seconds or milliseconds since 1970.
fn time(stated: &Value) -> Option<Timestamp> {
    match stated {
        Value::String(text) => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| sample::truncate_to_stored_precision(time.with_timezone(&Utc))),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let millis = if number.abs() < LATEST_SECOND { number * 1_000.0 } else { number };
            #[expect(clippy::cast_possible_truncation, reason = "what is out of range saturates, and is no time then")]
            let millis = millis.round() as i64;
            sample::from_millis(millis)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = DateTime::<Utc>::UNIX_EPOCH;

    fn parse(text: &str) -> Sample {
        sample(text.as_bytes(), false, NOW)
    }

    #[test]
    fn golden_messages() {
        let golden = include_str!("../../tests/golden/mqtt-payloads.txt");
        for case in golden.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (payload, expected) = case.split_once(" => ").unwrap();
            let sample = parse(payload);
            let found = format!(
                "{} {} {} {} {}",
                sample.value.map_or("-".into(), |value| serde_json::to_string(&value).unwrap()),
                sample.quality,
                sample.quality_code.as_deref().unwrap_or("-"),
                sample.unit.as_deref().unwrap_or("-"),
                sample
                    .source_timestamp
                    .map_or("-".into(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            );
            assert_eq!(found, expected, "{payload}");
        }
    }

    #[test]
    fn a_retained_number_says_that_it_may_be_old() {
        let sample = sample(b"4.5", true, NOW);
        assert_eq!((sample.quality, sample.quality_code.as_deref()), (Quality::Uncertain, Some("mqtt:retained")));
    }

    #[test]
    fn a_retained_object_is_as_good_as_it_says_only_if_it_says_when() {
        let retained = |text: &str| {
            let sample = sample(text.as_bytes(), true, NOW);
            (sample.quality, sample.quality_code.unwrap_or_default())
        };
        let undated = r#"{"value": 4.5, "quality": "good"}"#;
        assert_eq!(retained(undated), (Quality::Uncertain, "mqtt:retained".to_owned()));
        assert_eq!(parse(undated).quality, Quality::Good, "it has just come");
        assert_eq!(retained(r#"{"value": 4.5, "quality": "bad"}"#).0, Quality::Bad);
        let dated = r#"{"value": 4.5, "quality": "good", "timestamp": "2026-01-01T00:00:00Z"}"#;
        assert_eq!(retained(dated), (Quality::Good, "mqtt:good".to_owned()));
        assert_eq!(retained(r#"{"timestamp": 1}"#), (Quality::Bad, "mqtt:unreadable".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text_are_unreadable() {
        assert_eq!(sample(&[0xff, 0xfe, 0x00], false, NOW).quality_code.as_deref(), Some("mqtt:unreadable"));
    }
}
