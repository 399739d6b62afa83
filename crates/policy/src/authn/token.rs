//! Takes a compact JWS (RFC 7515) apart without believing it: sizes, shapes, no duplicate members, before any crypto.

use super::Reason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Longest token that is looked at, in bytes: a 200-group token is about 11 KB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token taken apart. Nothing in it is verified.
#[derive(Debug)]
pub struct Unverified {
    /// The `alg` header.
    pub algorithm: String,
    /// The `kid` header.
    pub key_id: Option<String>,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Takes a token apart.
///
/// # Errors
/// One reason each: too large, malformed, a `typ` that is no access token's, a `crit` header (RFC 7515 §4.1.11: an
/// extension that is not understood must be refused), a header that brings or points to a key of its own. Such a key
/// would not be used anyhow: only the configured ones are. No issuer has a reason to send one, and who tries should show
/// in the log as that.
pub fn take_apart(token: &str) -> Result<Unverified, Reason> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Reason::TooLarge);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reason::Malformed);
    };
    if signature.is_empty() {
        return Err(Reason::Malformed);
    }
    let header = object(header)?;
    let claims = object(claims)?;
    if header.contains_key("crit") {
        return Err(Reason::Crit);
    }
    if ["jku", "x5u", "jwk", "x5c"].iter().any(|name| header.contains_key(*name)) {
        return Err(Reason::HeaderKey);
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if is_access_token_type(typ) => {}
        Some(_) => return Err(Reason::Type),
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(Reason::Algorithm);
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=256).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err(Reason::KeyId),
    };
    Ok(Unverified { algorithm: algorithm.clone(), key_id, claims })
}

/// `JWT`, or RFC 9068's `at+jwt`, with or without `application/`.
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

fn object(part: &str) -> Result<Map<String, Value>, Reason> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Malformed)?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value = Unique.deserialize(&mut json).map_err(|_| Reason::Malformed)?;
    json.end().map_err(|_| Reason::Malformed)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Reason::Malformed),
    }
}

/// Reads any JSON value and refuses an object that names a member twice: two readers could see two tokens.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
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
        while let Some(item) = seq.next_element_seed(Unique)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Unique)?;
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
    fn a_plain_token_comes_apart() {
        let parts = take_apart(&token(r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#, r#"{"sub":"u","n":[1,{"a":2}]}"#));
        let parts = parts.expect("well formed");
        assert_eq!((parts.algorithm.as_str(), parts.key_id.as_deref()), ("RS256", Some("k1")));
        assert_eq!(parts.claims["n"][1]["a"], 2);
    }

    #[test]
    fn what_is_not_one_plain_token_is_refused_with_its_reason() {
        let good = r#"{"alg":"RS256"}"#;
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let cases = [
            (token(r#"{"alg":"RS256","alg":"none"}"#, "{}"), Reason::Malformed),
            (token(good, r#"{"sub":"a","sub":"b"}"#), Reason::Malformed),
            (token(good, r#"{"x":{"y":1,"y":2}}"#), Reason::Malformed),
            (token(good, "[]"), Reason::Malformed),
            (token(good, "{} {}"), Reason::Malformed),
            (token(good, &deep), Reason::Malformed),
            (token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}"), Reason::Crit),
            (token(r#"{"alg":"RS256","jku":"https://evil.example/keys"}"#, "{}"), Reason::HeaderKey),
            (token(r#"{"alg":"RS256","x5u":"https://evil.example/cert"}"#, "{}"), Reason::HeaderKey),
            (token(r#"{"alg":"RS256","jwk":{"kty":"RSA"}}"#, "{}"), Reason::HeaderKey),
            (token(r#"{"alg":"RS256","x5c":["MII"]}"#, "{}"), Reason::HeaderKey),
            (token(r#"{"alg":"RS256","typ":"id+jwt"}"#, "{}"), Reason::Type),
            (token(r#"{"alg":5}"#, "{}"), Reason::Algorithm),
            (token(r#"{"alg":"RS256","kid":7}"#, "{}"), Reason::KeyId),
            ("a.b".to_owned(), Reason::Malformed),
            (format!("{}.{}.", URL_SAFE_NO_PAD.encode(good), URL_SAFE_NO_PAD.encode("{}")), Reason::Malformed),
            ("x".repeat(MAX_TOKEN_BYTES + 1), Reason::TooLarge),
        ];
        for (text, reason) in cases {
            assert_eq!(take_apart(&text).map(|_| ()), Err(reason), "{}", &text[..text.len().min(80)]);
        }
    }
}
