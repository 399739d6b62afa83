//! Merge patches (RFC 7396) with typed fields, whose errors point to the invalid field.

use crate::error::ApiError;
use domain::model::TierChoice;
use domain::role::Classification;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;

/// A field of a merge patch: missing, `null` (removes the override), or a new value.
pub(crate) type PatchField<T> = Option<Option<T>>;

/// Deserializes a field that is present, possibly as `null`.
pub(crate) fn deserialize_present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PatchField<T>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Validation of a well-formed value in a change.
pub(crate) trait Validate {
    /// Checks the value of the field at `pointer` (RFC 6901).
    ///
    /// # Errors
    /// If the field, or one below it, is not allowed; the error names that field.
    fn validate(&self, _pointer: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

impl Validate for Classification {}
impl Validate for TierChoice {}
impl Validate for bool {}
impl Validate for u8 {}
impl Validate for u32 {}
impl Validate for u64 {}
impl Validate for f64 {}

pub(crate) fn check_range<T: PartialOrd + Display>(value: &T, min: T, max: T, pointer: &str) -> Result<(), ApiError> {
    if (&min..=&max).contains(&value) {
        return Ok(());
    }
    Err(ApiError::invalid_field(pointer, format!("must be from {min} to {max}")))
}

/// Declares a merge patch. Each field has a type, or a number type with its minimum and maximum.
macro_rules! patch {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty $([$min:tt to $max:tt])?,)+
    }) => {
        #[derive(Deserialize, Serialize, ToSchema, Debug)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])*
            $(#[schema(value_type = Option<$type>, minimum = $min, maximum = $max)])?
            #[serde(default, deserialize_with = "deserialize_present", skip_serializing_if = "Option::is_none")]
            $field: PatchField<$type>,)+
        }

        impl Validate for $name {
            fn validate(&self, pointer: &str) -> Result<(), ApiError> {
                $(if let Some(Some(value)) = &self.$field {
                    let pointer = format!("{pointer}/{}", stringify!($field));
                    value.validate(&pointer)?;
                    $(check_range(value, $min, $max, &pointer)?;)?
                })+
                Ok(())
            }
        }
    };
}

pub(crate) use patch;
