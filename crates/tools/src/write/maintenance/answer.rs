//! Answers of maintenance systems, and their words as they may be shown.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Maximum length of a system's own words in an error, in characters.
const MAX_WORDS_CHARS: usize = 300;
/// Minimum length of a secret of which occurrences are removed; shorter ones would take words apart.
const MIN_REDACTED_CHARS: usize = 4;

/// An answer of a maintenance system.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An id that may be written as text or as a number; `None` if it is neither, or empty.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(system_words(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A system's words on one line, shortened, and without marks that could turn into links, images or tags.
pub(super) fn system_words(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '<' | '>' | '[' | ']' | '`') { ' ' } else { c };
    let plain: String = text.chars().take(4 * MAX_WORDS_CHARS).map(plain).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(MAX_WORDS_CHARS).collect()
}

/// The text without the secret or its parts on either side of a colon (user and password).
pub(super) fn redact(text: &str, secret: &str) -> String {
    let parts = std::iter::once(secret).chain(secret.split(':'));
    let long_parts = parts.filter(|part| part.chars().count() >= MIN_REDACTED_CHARS);
    long_parts.fold(text.to_owned(), |text, part| text.replace(part, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_one_short_line_without_marks() {
        assert_eq!(system_words(" Asset\n\u{1b}[31m  unknown <b>![x](y)`"), "Asset 31m unknown b ! x (y)");
        assert_eq!(system_words(&"é".repeat(5_000)).chars().count(), MAX_WORDS_CHARS);
    }

    #[test]
    fn no_part_of_a_secret_is_repeated() {
        assert_eq!(redact("no user maint with hunter22", "maint:hunter22"), "no user … with …");
        assert_eq!(redact("the key abcdef is unknown", "abcdef"), "the key … is unknown");
        assert_eq!(redact("a b c", "b"), "a b c");
    }

    #[test]
    fn ids_are_text_or_numbers() {
        assert_eq!(id_text(&json!("WO-7")), Some("WO-7".to_owned()));
        assert_eq!(id_text(&json!(7)), Some("7".to_owned()));
        for nothing in [json!(""), json!(null), json!({})] {
            assert_eq!(id_text(&nothing), None);
        }
    }
}
