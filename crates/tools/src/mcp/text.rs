//! Removes invisible characters from untrusted text: models get only text that is visible to people, in the same order.

use serde_json::{Map, Value};

/// Whether people see the character, or it is white space that text needs.
fn is_visible(c: char) -> bool {
    if c.is_control() {
        return matches!(c, '\n' | '\t');
    }
    !matches!(
        u32::from(c),
        // Soft hyphen, zero-width characters and marks of direction, fillers, separators of lines.
        0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            // Shorthand and music controls, tags, variation selectors, private use.
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff | 0xf0000..=0x10_ffff
    )
}

/// The visible characters of a text, at most `max_chars` of them.
pub(super) fn visible(text: &str, max_chars: usize) -> String {
    text.chars().filter(|c| is_visible(*c)).take(max_chars).collect()
}

/// The value with the visible characters of its strings and names only.
pub(super) fn visible_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible(text, usize::MAX)),
        Value::Array(items) => items.iter().map(visible_json).collect(),
        Value::Object(fields) => Value::Object(visible_fields(fields)),
        other => other.clone(),
    }
}

fn visible_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    fields.iter().map(|(name, value)| (visible(name, usize::MAX), visible_json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hidden_text_is_removed_and_visible_text_stays() {
        let hidden: String = "ignore".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        let text = format!("Pump\u{200b} P-101\u{202e} läuft:\t16 bar\n泵\u{0}\u{1b}[31m{hidden}\u{e0101}");
        assert_eq!(visible(&text, 100), "Pump P-101 läuft:\t16 bar\n泵[31m");
        assert_eq!(visible(&text, 4), "Pump");
        let value = json!({"a\u{200b}": ["b\u{feff}", 1, null]});
        assert_eq!(visible_json(&value), json!({"a": ["b", 1, null]}));
    }
}
