//! Parses the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderName};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum length of a key, in characters.
const MAX_LENGTH: usize = 255;

/// Parses the key of a request: a quoted string as in RFC 8941 (`"8e03…"`), which the draft requires, or the bare key,
/// which most clients send. Both forms give the same key.
pub(crate) fn parse(headers: &HeaderMap) -> Result<String, ApiError> {
    let invalid_key = |detail: &str| ApiError::invalid_field("/Idempotency-Key", detail);
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(invalid_key("must be given once"));
    };
    let text = value.to_str().map(str::trim).map_err(|_| invalid_key("must be printable ASCII"))?;
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted).ok_or_else(|| invalid_key("must be a valid quoted string"))?,
        None => text.to_owned(),
    };
    match key.len() {
        0 => Err(invalid_key("must not be empty")),
        1..=MAX_LENGTH if key.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(key),
        1..=MAX_LENGTH => Err(invalid_key("must be printable ASCII")),
        _ => Err(invalid_key("must be at most 255 characters long")),
    }
}

/// Decodes a quoted string; `quoted` starts after the opening quote. Returns `None` if it is invalid.
fn unquote(quoted: &str) -> Option<String> {
    let inner = quoted.strip_suffix('"')?;
    let (mut key, mut escaped) = (String::new(), false);
    for character in inner.chars() {
        match character {
            '\\' | '"' if escaped => {}
            _ if escaped => return None,
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return None,
            _ => {}
        }
        escaped = false;
        key.push(character);
    }
    (!escaped).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn parse_key(values: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).expect("a header value"));
        }
        parse(&headers).ok()
    }

    #[test]
    fn quoted_and_bare_keys_are_equal_and_invalid_keys_are_refused() {
        assert_eq!(parse_key(&[b"8e03978e-40d5"]).as_deref(), Some("8e03978e-40d5"));
        assert_eq!(parse_key(&[b"\"8e03978e-40d5\""]).as_deref(), Some("8e03978e-40d5"));
        assert_eq!(parse_key(&[br#""a\"b\\c""#]).as_deref(), Some(r#"a"b\c"#));
        let long = [b'k'; 256];
        let refused: [&[&[u8]]; 10] = [
            &[b""],
            &[b"\"\""],
            &[b"  "],
            &[b"\"a"],
            &[b"\"a\"b\""],
            &[br#""a\n""#],
            &[br#""a\"#],
            &[b"a\xff"],
            &[&long],
            &[b"a", b"a"],
        ];
        for values in refused {
            assert_eq!(parse_key(values), None, "{values:?}");
        }
        assert!(parse_key(&[&long[..255]]).is_some());
    }
}
