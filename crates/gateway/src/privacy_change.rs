//! Changes of a tenant's privacy rules: the values that a change may set, and the errors of patterns.

use crate::error::ApiError;
use crate::fields;
use crate::merge_patch::{PatchField, Validate, deserialize_present, patch};
use domain::privacy::{BuiltInPattern, CustomPattern, MAX_PATTERNS, PrivacyAction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

patch! {
    /// Values that must not reach models unchanged.
    PiiSanitizationChange {
        /// Whether the rules apply; false by default.
        enabled: bool,
        #[schema(schema_with = action)]
        action: PrivacyAction,
        #[schema(schema_with = built_in_patterns)]
        patterns: BuiltInPatterns,
        #[schema(value_type = Option<Vec<CustomPatternChange>>, max_items = 32)]
        custom: CustomPatterns,
    }
}

impl Validate for PrivacyAction {}

/// What happens to a value; `redact` by default.
fn action() -> RefOr<Schema> {
    fields::enum_schema(PrivacyAction::ALL.iter().map(|action| action.as_str()), true)
}

/// Built-in patterns that apply; all by default.
#[derive(Deserialize, Serialize, Debug)]
pub(crate) struct BuiltInPatterns(Vec<BuiltInPattern>);

impl Validate for BuiltInPatterns {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        let distinct: BTreeSet<_> = self.0.iter().collect();
        if distinct.len() < self.0.len() {
            return Err(ApiError::invalid_field(pointer, "must not name a pattern twice"));
        }
        Ok(())
    }
}

fn built_in_patterns() -> RefOr<Schema> {
    let names = BuiltInPattern::ALL.iter().map(|pattern| pattern.as_str());
    let patterns = ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(fields::enum_schema(names, false))
        .unique_items(true)
        .build();
    Schema::Array(patterns).into()
}

/// The tenant's own patterns. A change replaces all of them.
#[derive(Deserialize, Serialize, Debug)]
pub(crate) struct CustomPatterns(Vec<CustomPatternChange>);

/// A pattern of your own: a regular expression without look-around and back-references.
#[derive(Deserialize, Serialize, ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomPatternChange {
    /// Name in placeholders, warnings and the audit log.
    #[schema(pattern = "^[a-z][a-z0-9_]*$", max_length = 32)]
    name: String,
    /// The expression; `(?i)` at its beginning makes it ignore case.
    #[schema(min_length = 1, max_length = 512)]
    pattern: String,
}

impl Validate for CustomPatterns {
    fn validate(&self, pointer: &str) -> Result<(), ApiError> {
        if self.0.len() > MAX_PATTERNS {
            return Err(ApiError::invalid_field(pointer, format!("must be at most {MAX_PATTERNS} patterns")));
        }
        let mut names = BTreeSet::new();
        for (at, CustomPatternChange { name, pattern }) in self.0.iter().enumerate() {
            CustomPattern::compile(name, pattern).map_err(|error| {
                let field = if error.is_name_error() { "name" } else { "pattern" };
                ApiError::invalid_field(format!("{pointer}/{at}/{field}"), error.to_string())
            })?;
            if !names.insert(name) {
                return Err(ApiError::invalid_field(format!("{pointer}/{at}/name"), "must not be used twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::privacy::{MAX_NAME_BYTES, MAX_PATTERN_BYTES};
    use utoipa::PartialSchema as _;

    #[test]
    fn the_schema_says_what_is_enforced() {
        let schema = serde_json::to_value(CustomPatternChange::schema()).expect("a schema");
        assert_eq!(schema["properties"]["name"]["maxLength"], MAX_NAME_BYTES);
        assert_eq!(schema["properties"]["pattern"]["maxLength"], MAX_PATTERN_BYTES);
        let change = serde_json::to_value(PiiSanitizationChange::schema()).expect("a schema");
        assert_eq!(change["properties"]["custom"]["maxItems"], MAX_PATTERNS);
    }
}
