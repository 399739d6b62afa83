//! Privacy rules: personal data and identifiers of devices are replaced before a text reaches a model, and restored in
//! its answer.
//!
//! A [`Detector`] finds the values of a tenant's patterns: built-in ones ([`BuiltIn`]) and the tenant's own
//! ([`CustomPattern`]). [`redact`] replaces them with placeholders that are the same throughout a conversation, at
//! every replica; a [`Restorer`] puts the values back into the model's answer, piece by piece. All of it runs in linear
//! time, whatever the text. There is no dictionary of names and no model: what has no form is not found.

mod custom;
mod detect;
mod detector;
mod folded;
mod patterns;
mod placeholder;
mod redactor;
mod restorer;

pub use custom::{CustomPattern, CustomPatternError, MAX_NAME, MAX_PATTERN, MAX_PATTERNS};
pub use detector::{BuiltInPatterns, Detector, Finding};
pub use patterns::BuiltIn;
pub use placeholder::{PlaceholderKey, PlaceholderKeys, Placeholders};
pub use redactor::{Counts, Part, Redaction, count, redact};
pub use restorer::{Encoding, Restorer, restore};
