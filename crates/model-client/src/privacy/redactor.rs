//! Replaces the values in a request to a model with placeholders.

use super::detector::{Detector, Finding};
use super::placeholder::{PlaceholderKey, Placeholders};
use domain::privacy::PatternCounts;
use serde_json::Value;
use std::borrow::Cow;

/// A text of a request.
#[derive(Debug)]
pub enum Part<'a> {
    /// Text that may hold personal data anywhere.
    Text(&'a mut String),
    /// A string that may be JSON, such as the arguments of a tool call. JSON stays valid; what does not parse is
    /// treated as text.
    JsonOrText(&'a mut String),
    /// JSON that is already parsed.
    Value(&'a mut Value),
}

/// Result of redacting a request.
#[derive(Debug, Default)]
pub struct Redaction {
    /// The placeholders in the request, to restore the answer.
    pub placeholders: Placeholders,
    /// How often each pattern matched.
    pub counts: PatternCounts,
}

/// Replaces every value in the parts of a request. Parts without a value stay unchanged. Redacting twice has no further
/// effect.
pub fn redact<'a>(detector: &Detector, key: &PlaceholderKey, parts: impl IntoIterator<Item = Part<'a>>) -> Redaction {
    let mut parts: Vec<_> = parts.into_iter().collect();
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) | Part::JsonOrText(text) => Cow::Borrowed(text.as_str()),
        Part::Value(value) => Cow::Owned(value.to_string()),
    });
    let placeholders = Placeholders::for_texts(texts);
    let mut redactor =
        RequestRedactor { detector, key, redaction: Redaction { placeholders, counts: PatternCounts::default() } };
    for part in &mut parts {
        match part {
            Part::JsonOrText(text) => redactor.redact_json(text),
            Part::Text(text) => redactor.redact_text(text),
            Part::Value(value) => redactor.redact_value(value, ""),
        }
    }
    redactor.redaction
}

/// How often each pattern matches in `text`.
#[must_use]
pub fn count_matches(detector: &Detector, text: &str) -> PatternCounts {
    let mut counts = PatternCounts::default();
    for finding in detector.find(text) {
        counts.add(finding.pattern);
    }
    counts
}

struct RequestRedactor<'a> {
    detector: &'a Detector,
    key: &'a PlaceholderKey,
    redaction: Redaction,
}

impl RequestRedactor<'_> {
    fn redact_text(&mut self, text: &mut String) {
        let findings = self.detector.find(text);
        if let Some(replaced) = self.replace_findings(text, &findings, 0) {
            *text = replaced;
        }
    }

    /// Returns `text` from `from` on, with placeholders; `None` if it contains no finding.
    fn replace_findings(&mut self, text: &str, findings: &[Finding<'_>], from: usize) -> Option<String> {
        let mut replaced = String::with_capacity(text.len());
        let mut at = from;
        for finding in findings.iter().filter(|finding| finding.range.end > from) {
            let start = finding.range.start.max(from);
            let spelled = &text[start..finding.range.end];
            replaced.push_str(&text[at..start]);
            let name =
                self.redaction.placeholders.placeholder_for(self.key, finding.pattern, &finding.canonical, spelled);
            replaced.push_str(&name);
            self.redaction.counts.add(finding.pattern);
            at = finding.range.end;
        }
        (at > from).then(|| replaced + &text[at..])
    }

    /// Searches each value together with the name of its field, which may show what kind of value it is.
    fn redact_json(&mut self, text: &mut String) {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else { return self.redact_text(text) };
        let count_before: u64 = self.redaction.counts.total();
        self.redact_value(&mut value, "");
        let count_after: u64 = self.redaction.counts.total();
        if count_after > count_before {
            *text = value.to_string();
        }
    }

    fn redact_value(&mut self, value: &mut Value, name: &str) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if let Some(replaced) = self.redact_field(&number.to_string(), name) {
                    *value = Value::String(replaced);
                }
            }
            Value::String(text) => {
                if let Some(replaced) = self.redact_field(text, name) {
                    *text = replaced;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_value(value, name)),
            Value::Object(fields) => {
                for (mut name, mut value) in std::mem::take(fields) {
                    self.redact_value(&mut value, &name);
                    self.redact_text(&mut name);
                    fields.insert(name, value);
                }
            }
        }
    }

    fn redact_field(&mut self, text: &str, name: &str) -> Option<String> {
        if name.is_empty() {
            let findings = self.detector.find(text);
            return self.replace_findings(text, &findings, 0);
        }
        let whole = format!("{}: {text}", field_name_to_words(name));
        let findings = self.detector.find(&whole);
        self.replace_findings(&whole, &findings, whole.len() - text.len())
    }
}

/// Splits the name of a field into words: `serialNumber` and `serial_number` become `serial number`.
fn field_name_to_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for char in name.chars() {
        if char.is_uppercase() && was_lower {
            words.push(' ');
        }
        was_lower = char.is_lowercase();
        words.push(if char == '_' || char == '-' { ' ' } else { char });
    }
    words
}
