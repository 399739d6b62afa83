//! Reads JSON bodies: bounded, of one type, every field known.

use crate::error::ApiError;
use crate::settings::GatewaySettings;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use domain::error::ErrorKind;
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

/// Longest explanation of a field, in characters: what serde says of a wrong value repeats the value.
const MAX_DETAIL: usize = 300;
/// Largest number of client data: the largest numbers of PostgreSQL and JSON differ.
pub(crate) const MAX_NUMBER: f64 = 1e300;

/// A JSON body.
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
                "This address takes a body of type application/json.",
            ));
        }
        let bytes = read(body, &parts.headers, Arc::<GatewaySettings>::from_ref(state).max_json_bytes).await?;
        let value = parse(&bytes)?;
        check_values(&value)?;
        let Object(body) = typed(whole_numbers(value))?;
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

/// The size that the request announces, if it does.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(body: Body, headers: &HeaderMap, limit: u64) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let detail = format!("The body is larger than the allowed {} KiB.", limit >> 10);
        ApiError::new(ErrorKind::TooLarge, detail)
    };
    if announced(headers).is_some_and(|size| size > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|_| ApiError::new(ErrorKind::Malformed, "The body broke off, or came too slowly."))?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Parses JSON that nests no deeper than allowed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if depth(bytes) > GatewaySettings::MAX_JSON_DEPTH {
        let detail = format!("The JSON is nested deeper than {} levels.", GatewaySettings::MAX_JSON_DEPTH);
        return Err(ApiError::new(ErrorKind::Malformed, detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("The body is no valid JSON: line {}, column {}.", error.line(), error.column());
        ApiError::new(ErrorKind::Malformed, detail)
    })
}

/// Deepest nesting of brackets outside of strings. What is no JSON at all gets some number.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `17.0` is a whole number to JSON Schema, and so it is here: but for client data, which is kept as it is.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            match whole {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
                Some(float) if number.is_f64() => Value::from(float as i64),
                _ => Value::Number(number),
            }
        }
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => {
            let field = |(name, value)| {
                let value = if name == "metadata" { value } else { whole_numbers(value) };
                (name, value)
            };
            fields.into_iter().map(field).collect()
        }
        other => other,
    }
}

/// Refuses what PostgreSQL cannot store: U+0000 in any text, and numbers that it would give back in so many digits that
/// they cannot be read again.
pub(crate) fn check_values(value: &Value) -> Result<(), FieldError> {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|float| float.abs() > MAX_NUMBER) => {
            Err(FieldError { pointer: String::new(), detail: "must be a number within ±1e300".to_owned() })
        }
        Value::String(text) if text.contains('\0') => {
            Err(FieldError { pointer: String::new(), detail: "must not contain U+0000".to_owned() })
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_values(item).map_err(|error| below(&index.to_string(), error))),
        Value::Object(fields) => fields.iter().try_for_each(|(name, item)| {
            check_values(&Value::String(name.clone()))?;
            check_values(item).map_err(|error| below(name, error))
        }),
        _ => Ok(()),
    }
}

/// A field error as seen from one level further up.
pub(crate) fn below(name: &str, error: FieldError) -> FieldError {
    FieldError { pointer: format!("/{}{}", escape(name), error.pointer), ..error }
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| ApiError::field(pointer(error.path()), shorten(&error.inner().to_string())))
}

/// The JSON pointer of a place that serde names.
pub(crate) fn pointer(path: &SerdePath) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// What serde says, at most [`MAX_DETAIL`] characters of it.
pub(crate) fn shorten(detail: &str) -> String {
    detail.chars().take(MAX_DETAIL).collect()
}

/// A struct written as a JSON object. By itself serde takes an array for a struct, too.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Fields(PhantomData)).map(Self)
    }
}

/// The one id in a path. Text that is no UUID names nothing: it is looked up as the highest UUID, which no object has,
/// so that answer, time and audit row are those of an id that does not exist.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: From<Uuid>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Uuid::parse_str(&text).unwrap_or(Uuid::max()),
            Err(_) => Uuid::max(),
        };
        Ok(Self(T::from(id)))
    }
}

/// The two ids in a path; each as [`Id`] has it.
pub(crate) struct IdPair<A, B>(pub(crate) A, pub(crate) B);

impl<A: From<Uuid>, B: From<Uuid>, S: Send + Sync> FromRequestParts<S> for IdPair<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = |text: &str| Uuid::parse_str(text).unwrap_or(Uuid::max());
        let (one, other) = match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((one, other))) => (id(&one), id(&other)),
            Err(_) => (Uuid::max(), Uuid::max()),
        };
        Ok(Self(A::from(one), B::from(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn depth_counts_brackets_and_not_those_in_texts() {
        assert_eq!(depth(br#"{"a":["[[[[\"[["]}"#), 2);
        assert!(parse("[".repeat(65).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parse(deep.as_bytes()).is_ok());
    }

    #[test]
    fn a_nul_is_found_in_values_and_names_and_its_place_is_told() {
        let error = check_values(&json!({"a/b": ["x", {"y": "\0"}]})).expect_err("a NUL");
        assert_eq!(error.pointer, "/a~1b/1/y");
        assert!(check_values(&json!({"\0": 1})).is_err());
        assert!(check_values(&json!({"a": "\u{1}"})).is_ok());
    }

    #[test]
    fn a_number_that_could_not_be_read_again_is_refused() {
        let error = check_values(&json!({"a": [-1.797_693_134_862_315_7e308]})).expect_err("too large");
        assert_eq!(error.pointer, "/a/0");
        assert!(check_values(&json!([1e300, -1e300, 5e-324, u64::MAX, i64::MIN])).is_ok());
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point_but_in_client_data() {
        let read = whole_numbers(json!({"top_k": 17.0, "a": [2.0, 0.5, 1e300], "metadata": {"x": 1.0}}));
        assert_eq!(read.to_string(), json!({"top_k": 17, "a": [2, 0.5, 1e300], "metadata": {"x": 1.0}}).to_string());
    }

    #[test]
    fn a_struct_is_no_array() {
        #[derive(Deserialize, Debug)]
        struct Pair {
            #[expect(dead_code, reason = "only its presence matters")]
            a: u8,
        }
        assert!(typed::<Pair>(json!([1])).is_ok());
        assert!(typed::<Object<Pair>>(json!([1])).is_err());
        assert!(typed::<Object<Pair>>(json!({"a": 1})).is_ok());
        let error = typed::<Object<Pair>>(json!({"a": "x"})).expect_err("wrong type");
        assert_eq!(error.fields[0].pointer, "/a");
    }
}
