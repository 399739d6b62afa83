//! What JSON PostgreSQL can store, and return in a form that can be parsed again.

use serde_json::Value;

/// Largest absolute value of a number. `jsonb` returns larger ones with so many digits that serde_json cannot parse
/// them.
pub const MAX_NUMBER: f64 = 1e300;

/// Whether the value has no text or name with U+0000, and no number beyond [`MAX_NUMBER`].
#[must_use]
pub fn is_storable(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_f64().is_none_or(|float| float.abs() <= MAX_NUMBER),
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(fields) => fields.iter().all(|(name, item)| !name.contains('\0') && is_storable(item)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_postgresql_refuses_or_returns_unreadable_is_found_at_any_depth() {
        assert!(is_storable(&json!({"a": [1e300, -1e300, 5e-324, u64::MAX, i64::MIN, "\u{1}", null, true]})));
        for bad in [json!({"a": [f64::MAX]}), json!([-f64::MAX]), json!({"a": {"b": "\0"}}), json!({"\0": 1})] {
            assert!(!is_storable(&bad), "{bad}");
        }
    }
}
