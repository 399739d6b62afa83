//! Deserializers and JSON schemas for tool arguments, which a model generates: limits are enforced during parsing.

use domain::text::BoundedText;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Value, json};

/// The JSON schema of an object that has these properties and allows no others.
pub(super) fn schema(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Deserializes a string of 1 to `MAX` characters.
pub(super) fn text<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<BoundedText<MAX>, D::Error> {
    BoundedText::parse(&String::deserialize(deserializer)?).map_err(Error::custom)
}

/// Deserializes a string of 1 to `MAX` characters that may be missing or null.
pub(super) fn optional_text<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Option<BoundedText<MAX>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| BoundedText::parse(&text).map_err(Error::custom)).transpose()
}

/// Deserializes a number from `LOW` to `HIGH`, both inclusive, that may be missing or null.
pub(super) fn optional_number<'de, D: Deserializer<'de>, const LOW: u32, const HIGH: u32>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(number) if !(LOW..=HIGH).contains(&number) => {
            Err(Error::custom(format_args!("{number} is not between {LOW} and {HIGH}")))
        }
        number => Ok(number),
    }
}

/// Deserializes a number from `LOW` to `HIGH`, both inclusive.
pub(super) fn number<'de, D: Deserializer<'de>, const LOW: u32, const HIGH: u32>(
    deserializer: D,
) -> Result<u32, D::Error> {
    optional_number::<D, LOW, HIGH>(deserializer)?.ok_or_else(|| Error::custom("a number is missing"))
}

/// Deserializes a list of at most `MAX` items; missing or null means an empty list.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default();
    if items.len() > MAX {
        return Err(Error::custom(format_args!("more than {MAX} items")));
    }
    Ok(items)
}

/// Deserializes a list of 1 to `MAX` items.
pub(super) fn non_empty_list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = list::<D, T, MAX>(deserializer)?;
    if items.is_empty() { Err(Error::custom("at least one item is needed")) } else { Ok(items) }
}
