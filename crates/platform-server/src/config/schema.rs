//! The JSON Schema of the settings, generated from their types: `docs/generated/config.schema.json`. Its ranges are
//! enforced when the settings are read, and `tables.rs` generates the tables of the documentation from it.

use super::Settings;
use super::env::{self, NAMED_VARIABLES};
use anyhow::{Result, bail};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::Error as AnyError;
use serde::de::{Deserializer, Error as _, Visitor};
use serde_json::{Map, Value, json};
use std::cell::Cell;

/// Units of numbers by the suffix of the key.
const UNITS: &[(&str, &str)] =
    &[("_ms", "milliseconds"), ("_s", "seconds"), ("_days", "days"), ("_mib", "MiB"), ("_tokens", "tokens")];

/// The schema (draft 2020-12), with `x-unit` for the unit of a number, `x-variables` for the environment variables of a
/// key, and `x-default` for the description of a default that depends on something else.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    add_units_and_variables(&mut schema, Some(""));
    schema
}

/// Adds units and variables to a schema and removes nulls. `path` is the dotted key; `None` inside lists and maps,
/// whose keys no environment variable can set.
fn add_units_and_variables(schema: &mut Value, path: Option<&str>) {
    let Value::Object(object) = schema else { return };
    remove_null(object);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            add_units_and_variables(inner, None);
        }
    }
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (name, property) in properties {
        let path = path.map(|path| if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
        add_units_and_variables(property, path.as_deref());
        let Value::Object(property) = property else { continue };
        if let Some((_, unit)) = UNITS.iter().find(|(suffix, _)| is_number(property) && name.ends_with(suffix)) {
            property.insert("x-unit".to_owned(), json!(unit));
        }
        let is_scalar = !property.contains_key("properties") && !property.contains_key("items");
        if let Some(path) = path.filter(|_| is_scalar && !property.contains_key("additionalProperties")) {
            let named_variables =
                NAMED_VARIABLES.iter().filter(|(_, key)| *key == path).map(|(name, _)| (*name).to_owned());
            let variables: Vec<_> = named_variables.chain([env::prefixed_variable(&path)]).collect();
            property.insert("x-variables".to_owned(), json!(variables));
        }
    }
}

fn is_number(property: &Map<String, Value>) -> bool {
    matches!(property.get("type").and_then(Value::as_str), Some("integer" | "number"))
}

/// Removes null from types and defaults, because TOML and environment variables cannot express it.
fn remove_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [single_type] = types.as_slice() {
            let single_type = single_type.clone();
            object.insert("type".to_owned(), single_type);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(choices)) = object.get("anyOf")
        && let [Value::Object(choice), Value::Object(null)] = choices.as_slice()
        && null.get("type").is_some_and(|name| name == "null")
    {
        let choice = choice.clone();
        object.remove("anyOf");
        for (key, value) in choice {
            object.entry(key).or_insert(value);
        }
    }
}

/// Checks all numbers against the ranges in the schema.
///
/// # Errors
/// If a number is out of range. The message names the key and its range and never contains the value.
pub(super) fn check_ranges(settings: &Value) -> Result<()> {
    check_value(settings, &schema(), "")
}

fn check_value(value: &Value, schema: &Value, path: &str) -> Result<()> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            check_value(value, schema, &path)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_value(item, &schema["items"], &format!("{path}[{index}]"))),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let bound = |name: &str| schema[name].as_f64();
            match (bound("minimum"), bound("maximum")) {
                (Some(min), Some(max)) if !(min..=max).contains(&number) => bail!("{path} must be from {min} to {max}"),
                (Some(min), None) if number < min => bail!("{path} must be at least {min}"),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The schema of a secret: a string that is marked `writeOnly`, so that tools do not display it.
pub(super) fn secret(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "writeOnly": true})
}

/// The schema of an enum of strings. Its values come from its `Deserialize` implementation, so that the crates that
/// define such enums do not depend on schemars.
pub(super) fn one_of<'de, T: Deserialize<'de>>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": expected_names::<T>()})
}

/// The schema of a map whose values are an enum of strings.
pub(super) fn map_of<'de, T: Deserialize<'de>>(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": one_of::<T>(generator)})
}

/// The names of a struct's fields, from its `Deserialize` implementation.
pub(super) fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    expected_names::<T>()
}

fn expected_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let names = Cell::new(&[] as &[&str]);
    let _ = T::deserialize(NameRecorder(&names));
    names.get()
}

/// A deserializer that records the names of the variants or fields that a type expects, and then fails.
struct NameRecorder<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for NameRecorder<'_> {
    type Error = AnyError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, AnyError> {
        Err(AnyError::custom("not an enum or a struct"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, AnyError> {
        self.0.set(variants);
        Err(AnyError::custom("recorded"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, AnyError> {
        self.0.set(fields);
        Err(AnyError::custom("recorded"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::role::Classification;
    use model_client::config::Location;

    #[test]
    fn an_enum_schema_lists_the_values_that_can_be_deserialized() {
        assert_eq!(expected_names::<Classification>(), ["public", "internal", "confidential", "restricted"]);
        assert_eq!(expected_names::<Location>(), ["on-premises", "cloud"]);
    }

    #[test]
    fn a_key_has_its_description_default_unit_and_variables() {
        let schema = schema();
        let timeout = &schema["properties"]["models"]["properties"]["rerank_timeout_ms"];
        assert_eq!((&timeout["default"], &timeout["x-unit"]), (&json!(400), &json!("milliseconds")));
        assert_eq!(timeout["x-variables"], json!(["PLATFORM__MODELS__RERANK_TIMEOUT_MS"]));
        assert!(timeout["description"].as_str().expect("a description").starts_with("Milliseconds after which"));
        let url = &schema["properties"]["database"]["properties"]["url"];
        assert_eq!(url["x-variables"], json!(["DATABASE_URL", "PLATFORM__DATABASE__URL"]));
        assert_eq!((&url["type"], &url["writeOnly"]), (&json!("string"), &json!(true)));
    }

    #[test]
    fn every_key_has_a_description() {
        fn collect_undescribed(schema: &Value, path: &str, undescribed: &mut Vec<String>) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                if property["description"].as_str().is_none() {
                    undescribed.push(path.clone());
                }
                [property, &property["items"], &property["additionalProperties"]]
                    .iter()
                    .for_each(|inner| collect_undescribed(inner, &path, undescribed));
            }
        }
        let mut undescribed = Vec::new();
        collect_undescribed(&schema(), "", &mut undescribed);
        assert_eq!(undescribed, Vec::<String>::new());
    }

    #[test]
    fn a_number_outside_of_its_range_is_refused_with_its_path() {
        let range_error = |settings: Value| check_ranges(&settings).expect_err("out of range").to_string();
        assert_eq!(range_error(json!({"audit": {"checkpoint_s": 61}})), "audit.checkpoint_s must be from 1 to 60");
        assert_eq!(range_error(json!({"server": {"max_streams": 0}})), "server.max_streams must be at least 1");
        let route = json!({"models": {"tiers": {"fast": [{"input_price": -1.0}]}}});
        assert_eq!(range_error(route), "models.tiers.fast[0].input_price must be from 0 to 1000000");
        assert!(check_ranges(&json!({"audit": {"checkpoint_s": 60}, "unknown": 5})).is_ok());
    }
}
