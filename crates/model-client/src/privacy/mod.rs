//! Privacy rules: personal data and identifiers of devices are replaced before a text reaches a model, and restored in
//! its answer.
//!
//! A [`Detector`] finds the values of a tenant's patterns: built-in ones
//! ([`BuiltInPattern`](domain::privacy::BuiltInPattern)) and the tenant's own
//! ([`CustomPattern`](domain::privacy::CustomPattern)). [`redact`] replaces them with placeholders that are the same
//! throughout a conversation, on every replica; a [`Restorer`] puts the values back into the model's answer, piece by
//! piece. Everything runs in time linear in the length of the text. Values are recognized by their form and by the
//! words around them (`detect/words.rs`); there is no dictionary of names and no machine-learning model.

mod custom;
mod detect;
mod detector;
mod folded;
mod middleware;
mod placeholder;
mod redactor;
mod restorer;

pub use detector::{BuiltInPatterns, Detector, Finding};
pub use middleware::PrivacyMiddleware;
pub use placeholder::{PlaceholderKey, PlaceholderKeys, Placeholders};
pub use redactor::{Part, Redaction, count_matches, redact};
pub use restorer::{Encoding, Restorer, restore};
