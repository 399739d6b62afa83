//! Extractors of JSON bodies and of ids in paths. JSON bodies are limited in size and depth; whether unknown fields are
//! refused is up to the type.

use crate::error::ApiError;
use crate::settings::GatewaySettings;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use domain::error::ErrorKind;
use domain::json_value::MAX_NUMBER;
use domain::upload::FieldError;
use futures::StreamExt;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_path_to_error::{Path as SerdePath, Segment};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use uuid::Uuid;

/// Maximum length of a field error's detail, in characters. serde's messages repeat the invalid value, which can be
/// long.
const MAX_DETAIL_CHARS: usize = 300;
/// Extractor of a JSON object of at most `max_json_bytes`, nested at most `MAX_JSON_DEPTH` deep, without U+0000 and
/// without numbers beyond [`MAX_NUMBER`].
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T, S> FromRequest<S> for ApiJson<T>
where
    T: DeserializeOwned,
    S: Sync,
    Arc<GatewaySettings>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(ApiError::new(
                ErrorKind::UnsupportedType,
                "The request needs a body of type application/json.",
            ));
        }
        let bytes = read_to_limit(body, &parts.headers, Arc::<GatewaySettings>::from_ref(state).max_json_bytes).await?;
        let value = parse_json(&bytes)?;
        check_storable(&value)?;
        let JsonObject(body) = deserialize(normalize_integers(value))?;
        Ok(Self(body))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    essence.is_some_and(|e| e == "application/json" || (e.starts_with("application/") && e.ends_with("+json")))
}

/// Returns the value of `Content-Length`, if it is a valid number.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_to_limit(body: Body, headers: &HeaderMap, limit: u64) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let detail = format!("The body is larger than {} KiB.", limit >> 10);
        ApiError::new(ErrorKind::TooLarge, detail)
    };
    if content_length(headers).is_some_and(|size| size > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let interrupted = |_| ApiError::new(ErrorKind::Malformed, "The body was interrupted or sent too slowly.");
        let chunk = chunk.map_err(interrupted)?;
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Parses JSON that is nested at most `MAX_JSON_DEPTH` levels deep.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    if nesting_depth(bytes) > GatewaySettings::MAX_JSON_DEPTH {
        let detail = format!("The JSON is nested deeper than {} levels.", GatewaySettings::MAX_JSON_DEPTH);
        return Err(ApiError::new(ErrorKind::Malformed, detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("The body is not valid JSON: line {}, column {}.", error.line(), error.column());
        ApiError::new(ErrorKind::Malformed, detail)
    })
}

/// Returns the maximum nesting depth of brackets outside of strings. Meaningless for invalid JSON.
fn nesting_depth(bytes: &[u8]) -> usize {
    let (mut depth, mut max_depth, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                max_depth = max_depth.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    max_depth
}

/// Converts numbers such as `17.0`, which are integers in JSON Schema, to integers. Client data (`metadata`) is not
/// changed.
fn normalize_integers(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole_number = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            match whole_number {
                #[expect(clippy::cast_possible_truncation, reason = "an integer below 9e15 fits exactly")]
                Some(float) if number.is_f64() => Value::from(float as i64),
                _ => Value::Number(number),
            }
        }
        Value::Array(items) => items.into_iter().map(normalize_integers).collect(),
        Value::Object(fields) => {
            let field = |(name, value)| {
                let value = if name == "metadata" { value } else { normalize_integers(value) };
                (name, value)
            };
            fields.into_iter().map(field).collect()
        }
        other => other,
    }
}

/// Rejects values that PostgreSQL cannot store or return: strings with U+0000, and numbers whose absolute value is
/// above [`MAX_NUMBER`].
pub(crate) fn check_storable(value: &Value) -> Result<(), FieldError> {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|float| float.abs() > MAX_NUMBER) => {
            Err(FieldError { pointer: String::new(), detail: "must be a number between -1e300 and 1e300".to_owned() })
        }
        Value::String(text) if text.contains('\0') => {
            Err(FieldError { pointer: String::new(), detail: "must not contain U+0000".to_owned() })
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check_storable(item).map_err(|error| prefix_pointer(&index.to_string(), error))
        }),
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            check_storable(&Value::String(name.clone()))?;
            check_storable(item).map_err(|error| prefix_pointer(name, error))
        }),
        _ => Ok(()),
    }
}

/// Prepends a field name or list index to the pointer of an error in that value.
pub(crate) fn prefix_pointer(name: &str, error: FieldError) -> FieldError {
    FieldError { pointer: format!("/{}{}", escape_pointer(name), error.pointer), ..error }
}

/// Escapes a name for a JSON pointer (RFC 6901).
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn deserialize<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        ApiError::invalid_field(json_pointer(error.path()), truncate_detail(&error.inner().to_string()))
    })
}

/// Converts a path of serde_path_to_error to a JSON pointer (RFC 6901).
pub(crate) fn json_pointer(path: &SerdePath) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape_pointer(key)),
            Segment::Enum { variant } => format!("/{}", escape_pointer(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Truncates an error message to [`MAX_DETAIL_CHARS`] characters.
pub(crate) fn truncate_detail(detail: &str) -> String {
    detail.chars().take(MAX_DETAIL_CHARS).collect()
}

/// Deserializes a struct from a JSON object only. By default, serde also accepts an array.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct JsonObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Extractor of the id in a path. Text that is not a UUID becomes the maximum UUID, which no object has, so that
/// response, timing and audit row are the same as for an unknown id.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: From<Uuid>, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Uuid::parse_str(&text).unwrap_or(Uuid::max()),
            Err(_) => Uuid::max(),
        };
        Ok(Self(T::from(id)))
    }
}

/// Extractor of the two ids in a path; see [`PathId`].
pub(crate) struct PathIdPair<A, B>(pub(crate) A, pub(crate) B);

impl<A: From<Uuid>, B: From<Uuid>, S: Send + Sync> FromRequestParts<S> for PathIdPair<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = |text: &str| Uuid::parse_str(text).unwrap_or(Uuid::max());
        let (first, second) = match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((first, second))) => (id(&first), id(&second)),
            Err(_) => (Uuid::max(), Uuid::max()),
        };
        Ok(Self(A::from(first), B::from(second)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_in_strings_do_not_count_as_nesting() {
        assert_eq!(nesting_depth(br#"{"a":["[[[[\"[["]}"#), 2);
        assert!(parse_json("[".repeat(65).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parse_json(deep.as_bytes()).is_ok());
    }

    #[test]
    fn a_nul_in_a_value_or_name_is_refused_with_its_pointer() {
        let error = check_storable(&json!({"a/b": ["x", {"y": "\0"}]})).expect_err("a NUL");
        assert_eq!(error.pointer, "/a~1b/1/y");
        assert!(check_storable(&json!({"\0": 1})).is_err());
        assert!(check_storable(&json!({"a": "\u{1}"})).is_ok());
    }

    #[test]
    fn a_number_that_postgresql_cannot_return_is_refused() {
        let error = check_storable(&json!({"a": [-1.797_693_134_862_315_7e308]})).expect_err("too large");
        assert_eq!(error.pointer, "/a/0");
        assert!(check_storable(&json!([1e300, -1e300, 5e-324, u64::MAX, i64::MIN])).is_ok());
    }

    #[test]
    fn integers_may_have_a_decimal_point_and_client_data_is_unchanged() {
        let normalized = normalize_integers(json!({"top_k": 17.0, "a": [2.0, 0.5, 1e300], "metadata": {"x": 1.0}}));
        assert_eq!(
            normalized.to_string(),
            json!({"top_k": 17, "a": [2, 0.5, 1e300], "metadata": {"x": 1.0}}).to_string()
        );
    }

    #[test]
    fn a_struct_is_not_read_from_an_array() {
        #[derive(Deserialize, Debug)]
        struct Pair {
            #[expect(dead_code, reason = "only its presence matters")]
            a: u8,
        }
        assert!(deserialize::<Pair>(json!([1])).is_ok());
        assert!(deserialize::<JsonObject<Pair>>(json!([1])).is_err());
        assert!(deserialize::<JsonObject<Pair>>(json!({"a": 1})).is_ok());
        let error = deserialize::<JsonObject<Pair>>(json!({"a": "x"})).expect_err("wrong type");
        assert_eq!(error.fields[0].pointer, "/a");
    }
}
