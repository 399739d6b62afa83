//! Digests as text, which people and programs compare: `sha256:` and the lower-case hex SHA-256.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The digest of bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The digest of a value in canonical JSON (RFC 8785).
///
/// # Errors
/// If the value cannot be written as JSON, or a number has no canonical form.
pub(crate) fn of_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value).map(|canonical| of_bytes(&canonical))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_fields_does_not_change_the_digest_of_json() {
        let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(of_bytes(b"{}"), empty);
        assert_eq!(of_json(&json!({})).expect("a digest"), empty);
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let (one, other) = (parsed(r#"{"a": 1, "b": 2}"#), parsed(r#"{"b": 2.0, "a": 1}"#));
        assert_eq!(of_json(&one).expect("a digest"), of_json(&other).expect("a digest"));
    }
}
