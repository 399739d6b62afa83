//! A tenant's privacy rules: which values must not reach a model unchanged, and what happens to them.

mod custom;

pub use custom::{CustomPattern, CustomPatternError, MAX_NAME_BYTES, MAX_PATTERN_BYTES, MAX_PATTERNS};

use crate::role::string_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

string_enum! {
    /// What happens to the values that the patterns find.
    PrivacyAction {
        /// They are replaced before a model sees them, and restored in its answer.
        Redact = "redact",
        /// The model sees them, and the user is warned.
        Warn = "warn",
        /// A request is refused if the user's own text contains such a value. Values in other text are redacted.
        Block = "block",
    }
}

string_enum! {
    /// A built-in pattern. If matches of two patterns overlap, the pattern that is declared first wins.
    BuiltInPattern {
        /// Email addresses, including obfuscated ones.
        Email = "email",
        /// IPv4 and IPv6 addresses.
        IpAddress = "ip_address",
        /// Phone numbers, and short extensions after a word such as `ext.`.
        Phone = "phone",
        /// Serial numbers of equipment.
        EquipmentSerial = "equipment_serial",
        /// Numbers that identify staff, with or without a letter prefix.
        EmployeeId = "employee_id",
    }
}

impl BuiltInPattern {
    /// Patterns of personal data.
    pub const PERSONAL: &'static [Self] = &[Self::EmployeeId, Self::Email, Self::Phone];
    /// Identifiers of operational technology.
    pub const OPERATIONAL: &'static [Self] = &[Self::IpAddress, Self::EquipmentSerial];
}

/// The setting `pii_sanitization` of a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PiiSanitization {
    /// Whether the rules apply.
    pub enabled: bool,
    /// What happens to a value; `redact` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PrivacyAction>,
    /// The built-in patterns that apply; all of them by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<Vec<BuiltInPattern>>,
    /// The tenant's custom patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<NamedPattern>,
}

/// A custom pattern, as it is written in the tenant's settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NamedPattern {
    /// Name in placeholders, warnings and the audit log.
    pub name: String,
    /// Regular expression without look-around and back-references.
    pub pattern: String,
}

/// Privacy rules in force. They are part of the caller that every model request contains, so no call bypasses them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PrivacyRules {
    /// What happens to a value.
    pub action: PrivacyAction,
    /// The built-in patterns that apply.
    pub built_in: Vec<BuiltInPattern>,
    /// The tenant's custom patterns.
    pub custom: Vec<NamedPattern>,
}

impl PiiSanitization {
    /// The rules in force; `None` if they are not enabled or contain no patterns.
    #[must_use]
    pub fn rules(&self) -> Option<Arc<PrivacyRules>> {
        if !self.enabled {
            return None;
        }
        let built_in = self.patterns.clone().unwrap_or_else(|| BuiltInPattern::ALL.to_vec());
        let action = self.action.unwrap_or(PrivacyAction::Redact);
        let rules = PrivacyRules { action, built_in, custom: self.custom.clone() };
        (!rules.built_in.is_empty() || !rules.custom.is_empty()).then(|| Arc::new(rules))
    }
}

/// How often each pattern matched, by its name; never what it matched.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct PatternCounts(BTreeMap<String, u64>);

impl PatternCounts {
    /// Counts one more match of `pattern`.
    pub fn add(&mut self, pattern: &str) {
        match self.0.get_mut(pattern) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(pattern.to_owned(), 1);
            }
        }
    }

    /// Adds the matches of another text.
    pub fn merge(&mut self, other: &Self) {
        for (pattern, count) in &other.0 {
            *self.0.entry(pattern.clone()).or_default() += count;
        }
    }

    /// Keeps the larger count of each pattern; for two texts of which one contains the other.
    pub fn merge_max(&mut self, other: &Self) {
        for (pattern, count) in &other.0 {
            let most = self.0.entry(pattern.clone()).or_default();
            *most = (*most).max(*count);
        }
    }

    /// Whether nothing matched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of matches of all patterns.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The names of the patterns that matched, in alphabetical order.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(json: serde_json::Value) -> PiiSanitization {
        serde_json::from_value(json).expect("a setting")
    }

    #[test]
    fn rules_are_in_force_only_if_enabled_and_not_empty() {
        assert_eq!(PiiSanitization::default().rules(), None);
        assert_eq!(setting(serde_json::json!({"patterns": ["email"]})).rules(), None);
        assert_eq!(setting(serde_json::json!({"enabled": true, "patterns": []})).rules(), None);
        let all = setting(serde_json::json!({"enabled": true})).rules().expect("rules");
        assert_eq!((all.action, all.built_in.len()), (PrivacyAction::Redact, 5));
        let one = setting(serde_json::json!({"enabled": true, "patterns": ["email"], "action": "block"}));
        let one = one.rules().expect("rules");
        assert_eq!((one.action, &*one.built_in), (PrivacyAction::Block, &[BuiltInPattern::Email][..]));
    }

    #[test]
    fn every_built_in_pattern_is_in_one_of_the_two_lists() {
        let listed = [BuiltInPattern::PERSONAL, BuiltInPattern::OPERATIONAL].concat();
        assert_eq!(listed.len(), BuiltInPattern::ALL.len());
        assert!(BuiltInPattern::ALL.iter().all(|pattern| listed.contains(pattern)));
    }
}
