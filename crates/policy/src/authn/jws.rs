//! Parses a compact JWS (RFC 7515 §7.1) without verifying it. Checks size, structure and duplicate members before any
//! cryptography.

use super::TokenError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Maximum length of a token, in bytes. A token with 200 groups has about 11 KB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A parsed token. None of its contents are verified.
#[derive(Debug)]
pub struct UnverifiedToken {
    /// The `alg` header.
    pub algorithm: String,
    /// The `kid` header.
    pub key_id: Option<String>,
    /// The JWT Claims Set.
    pub claims: Map<String, Value>,
}

/// Parses a token.
///
/// # Errors
/// If the token is too large or malformed, its `typ` is not that of an access token, it has a `crit` header (RFC 7515
/// §4.1.11: an extension that is not understood must be refused), or a header contains or references a key. Such a key
/// would not be used anyway, but no legitimate issuer sends one, so the attempt gets its own error in the log.
pub fn parse(token: &str) -> Result<UnverifiedToken, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLarge);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    if signature.is_empty() {
        return Err(TokenError::Malformed);
    }
    let header = decode_object(header)?;
    let claims = decode_object(claims)?;
    if header.contains_key("crit") {
        return Err(TokenError::CriticalHeader);
    }
    if ["jku", "x5u", "jwk", "x5c"].iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::KeyInHeader);
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if is_access_token_type(typ) => {}
        Some(_) => return Err(TokenError::UnexpectedTokenType),
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(TokenError::AlgorithmNotAllowed);
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=256).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(TokenError::MissingKeyId),
    };
    Ok(UnverifiedToken { algorithm: algorithm.clone(), key_id, claims })
}

/// Whether `typ` is `JWT` (RFC 7519 §5.1) or `at+jwt` (RFC 9068 §2.1), with or without the prefix `application/`.
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

fn decode_object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value = NoDuplicateMembers.deserialize(&mut json).map_err(|_| TokenError::Malformed)?;
    json.end().map_err(|_| TokenError::Malformed)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(TokenError::Malformed),
    }
}

/// Deserializes a JSON value and rejects objects with duplicate member names (RFC 7515 §4), since another reader of the
/// token could use a different one of the values.
struct NoDuplicateMembers;

impl<'de> DeserializeSeed<'de> for NoDuplicateMembers {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicateMembers {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(NoDuplicateMembers)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(NoDuplicateMembers)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_well_formed_token_is_parsed() {
        let parsed = parse(&token(r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#, r#"{"sub":"u","n":[1,{"a":2}]}"#));
        let parsed = parsed.expect("well formed");
        assert_eq!((parsed.algorithm.as_str(), parsed.key_id.as_deref()), ("RS256", Some("k1")));
        assert_eq!(parsed.claims["n"][1]["a"], 2);
    }

    #[test]
    fn a_malformed_token_is_refused_with_its_error() {
        let good = r#"{"alg":"RS256"}"#;
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let cases = [
            (token(r#"{"alg":"RS256","alg":"none"}"#, "{}"), TokenError::Malformed),
            (token(good, r#"{"sub":"a","sub":"b"}"#), TokenError::Malformed),
            (token(good, r#"{"x":{"y":1,"y":2}}"#), TokenError::Malformed),
            (token(good, "[]"), TokenError::Malformed),
            (token(good, "{} {}"), TokenError::Malformed),
            (token(good, &deep), TokenError::Malformed),
            (token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}"), TokenError::CriticalHeader),
            (token(r#"{"alg":"RS256","jku":"https://evil.example/keys"}"#, "{}"), TokenError::KeyInHeader),
            (token(r#"{"alg":"RS256","x5u":"https://evil.example/cert"}"#, "{}"), TokenError::KeyInHeader),
            (token(r#"{"alg":"RS256","jwk":{"kty":"RSA"}}"#, "{}"), TokenError::KeyInHeader),
            (token(r#"{"alg":"RS256","x5c":["MII"]}"#, "{}"), TokenError::KeyInHeader),
            (token(r#"{"alg":"RS256","typ":"id+jwt"}"#, "{}"), TokenError::UnexpectedTokenType),
            (token(r#"{"alg":5}"#, "{}"), TokenError::AlgorithmNotAllowed),
            (token(r#"{"alg":"RS256","kid":7}"#, "{}"), TokenError::MissingKeyId),
            ("a.b".to_owned(), TokenError::Malformed),
            (format!("{}.{}.", URL_SAFE_NO_PAD.encode(good), URL_SAFE_NO_PAD.encode("{}")), TokenError::Malformed),
            ("x".repeat(MAX_TOKEN_BYTES + 1), TokenError::TooLarge),
        ];
        for (text, error) in cases {
            assert_eq!(parse(&text).map(|_| ()), Err(error), "{}", &text[..text.len().min(80)]);
        }
    }
}
