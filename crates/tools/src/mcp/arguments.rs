//! Checks the arguments of a call against the schema that the server gave, before anything is sent.

use crate::error::ToolError;
use jsonschema::PatternOptions;
use serde_json::{Map, Value};

/// Maximum length of the explanation of an invalid argument, in characters.
const MAX_DETAIL_CHARS: usize = 300;

/// The arguments as an object that the schema allows; `null` is treated as an empty object.
///
/// # Errors
/// If they are no object, or the schema does not allow them or cannot be applied: a schema may not refer to other
/// documents, nor use patterns whose time is not linear in the length of the text.
pub(super) fn check(schema: &Value, arguments: Value) -> Result<Map<String, Value>, ToolError> {
    let invalid = |detail: &str| {
        let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
        ToolError::InvalidArguments { detail }
    };
    let arguments = match arguments {
        Value::Null => Value::Object(Map::new()),
        object @ Value::Object(_) => object,
        _ => return Err(invalid("the arguments are not a valid JSON object; call it again with one")),
    };
    let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
    let validator = options
        .build(schema)
        .map_err(|_| invalid("the tool cannot be called: its schema of arguments is not valid"))?;
    if let Err(error) = validator.validate(&arguments) {
        return Err(invalid(&format!("{} at `{}`", error, error.instance_path())));
    }
    match arguments {
        Value::Object(arguments) => Ok(arguments),
        _ => Err(invalid("the arguments are not an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_schema_does_not_allow_is_refused() {
        let schema = json!({
            "type": "object", "properties": {"tag": {"type": "string", "pattern": "^[A-Z]+$"}}, "required": ["tag"],
            "additionalProperties": false,
        });
        assert!(check(&schema, json!({"tag": "PT"})).is_ok());
        for bad in
            [json!({}), json!({"tag": 1}), json!({"tag": "pt"}), json!({"tag": "PT", "x": 1}), json!([]), json!("")]
        {
            assert!(matches!(check(&schema, bad.clone()), Err(ToolError::InvalidArguments { .. })), "{bad}");
        }
        assert!(check(&json!({"type": "object"}), Value::Null).is_ok_and(|arguments| arguments.is_empty()));
    }

    #[test]
    fn a_schema_that_refers_elsewhere_or_is_none_fails() {
        for schema in [json!({"$ref": "https://example.com/schema.json"}), json!({"type": "no type"})] {
            assert!(check(&schema, json!({})).is_err(), "{schema}");
        }
    }
}
