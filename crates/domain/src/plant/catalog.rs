//! Connectors and their tags as a tenant's administrators configure them.

use super::{CertificateThumbprint, ConnectorKind, TagLimits, TagMapping};
use crate::identifiers::{TextKind, normalize_identifiers};
use crate::ids::{ConnectorId, TagId};
use crate::role::Classification;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// Maximum number of tags of one connector.
pub const MAX_TAGS_OF_CONNECTOR: usize = 10_000;
/// Maximum number of connectors of one tenant.
pub const MAX_CONNECTORS: u64 = 200;

/// A connector's secret, encrypted. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}

/// Whether and how the platform records the tags of a connector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// Seconds between two samples of a tag, 1 to 86,400.
    pub interval_s: u32,
    /// Days that samples are kept, 1 to 3,650.
    pub keep_days: u32,
}

/// A connector as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Connector {
    /// UUIDv7 of the connector.
    pub id: ConnectorId,
    /// Name, unique within the tenant.
    pub name: String,
    /// Protocol of the plant system.
    pub kind: ConnectorKind,
    /// URL of the plant system; empty for the simulator.
    pub endpoint: String,
    /// The kind's own settings: a JSON object.
    pub config: Value,
    /// Credential, encrypted for this connector.
    pub secret: Option<SealedSecret>,
    /// Classification of all that is read through it.
    pub classification: Classification,
    /// A value that is older than this is stale.
    pub stale_after_s: u32,
    /// Whether its tags are recorded.
    pub recording: Option<Recording>,
    /// Whether it is used at all.
    pub is_enabled: bool,
    /// The certificate that an administrator trusts.
    pub trusted_certificate: Option<CertificateThumbprint>,
    /// One more with each change of the connector or its tags.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl Connector {
    /// Kind and name, as readings state their source: `opcua:plc7`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}:{}", self.kind, self.name)
    }

    /// The purpose for which its secret is encrypted: it can be opened for this connector only.
    #[must_use]
    pub fn secret_purpose(&self) -> String {
        format!("connector/{}", self.id)
    }
}

/// A tag in the catalogue.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// UUIDv7 of the tag.
    pub id: TagId,
    /// Name, unique within the tenant.
    pub name: String,
    /// Where the connector finds it.
    #[serde(rename = "point")]
    pub mapping: TagMapping,
    /// Engineering unit, as in `bar`.
    pub unit: Option<String>,
    /// What is measured.
    pub description: Option<String>,
    /// Path of the equipment by ISA-95.
    pub equipment: Option<String>,
    /// Limits of the normal range and of alarms.
    pub limits: TagLimits,
}

impl Tag {
    /// The name in the form in which all of its spellings are equal.
    #[must_use]
    pub fn normalized_name(&self) -> String {
        normalized_tag_name(&self.name)
    }

    /// The identifiers in name, description and equipment, each once, in normalized form.
    #[must_use]
    pub fn terms(&self) -> Vec<String> {
        let mut terms: Vec<String> =
            normalize_identifiers(&self.texts(), TextKind::Passage).split_whitespace().map(str::to_owned).collect();
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    /// Name, description and equipment in lower case, for the search by words.
    #[must_use]
    pub fn search_text(&self) -> String {
        self.texts().to_lowercase()
    }

    fn texts(&self) -> String {
        let texts = [Some(&self.name), self.description.as_ref(), self.equipment.as_ref()];
        texts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// A tag's name in the form in which all of its spellings are equal: the identifiers in it or, if it has none, its
/// letters and digits. `P-101A`, `P101A` and `10-P-101A` are the same name.
#[must_use]
pub fn normalized_tag_name(name: &str) -> String {
    let identifiers = normalize_identifiers(name, TextKind::Query);
    if identifiers.is_empty() {
        return name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    }
    identifiers
}

/// Whether two names are spellings of one another: the same identifiers, with the same words beside them. `P101A` is a
/// spelling of `10-P-101A`, but `PIT-1001` is none of `PIT-1001.SP`, which is another tag of the same loop.
#[must_use]
pub fn is_spelling_of(name: &str, other: &str) -> bool {
    normalized_tag_name(name) == normalized_tag_name(other)
        && words_beside_identifiers(name) == words_beside_identifiers(other)
}

/// The words of a name, in lower case, that its identifiers do not begin with. There are none without an identifier:
/// then the normalized name has all letters.
fn words_beside_identifiers(name: &str) -> Vec<String> {
    let identifiers = normalize_identifiers(name, TextKind::Query);
    if identifiers.is_empty() {
        return Vec::new();
    }
    let is_beside = |word: &&str| !identifiers.split_whitespace().any(|identifier| identifier.starts_with(*word));
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.filter(is_beside).map(str::to_owned).collect()
}

/// A query of the tag catalogue, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagQuery {
    /// The query in lower case, trimmed.
    pub text: String,
    /// The query as a normalized name.
    pub name: String,
    /// Identifiers in it.
    pub terms: Vec<String>,
    /// Words of at least three letters or digits, in lower case.
    pub words: Vec<String>,
}

/// Shortest word that is searched.
const MIN_WORD_CHARS: usize = 3;
/// Maximum number of words that are searched.
const MAX_WORDS: usize = 16;

impl TagQuery {
    /// Takes a query apart. A query without any identifier or word matches all tags.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let text = query.trim().to_lowercase();
        let terms = normalize_identifiers(query, TextKind::Query).split_whitespace().map(str::to_owned).collect();
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.chars().count() >= MIN_WORD_CHARS)
            .take(MAX_WORDS)
            .map(str::to_owned)
            .collect();
        Self { name: normalized_tag_name(query), text, terms, words }
    }

    /// How well a tag matches: 0 if it does not.
    #[must_use]
    pub fn score(&self, tag: &Tag) -> i64 {
        if self.terms.is_empty() && self.words.is_empty() {
            return 1;
        }
        let (terms, text) = (tag.terms(), tag.search_text());
        let exact = i64::from(tag.name.to_lowercase() == self.text) * 100;
        let same_name = i64::from(!self.name.is_empty() && tag.normalized_name() == self.name) * 50;
        let found_terms = self.terms.iter().filter(|term| terms.contains(term)).count();
        let found_words = self.words.iter().filter(|word| text.contains(word.as_str())).count();
        let points = found_terms * 10 + found_words;
        exact + same_name + i64::try_from(points).unwrap_or(i64::MAX - 200)
    }
}

/// A tag with what its readings state of its connector.
#[derive(Clone, PartialEq, Debug)]
pub struct KnownTag {
    /// The tag itself.
    pub tag: Tag,
    /// Id of its connector.
    pub connector: ConnectorId,
    /// Kind and name of the connector.
    pub source: String,
    /// Classification of the connector.
    pub classification: Classification,
    /// A value that is older than this is stale.
    pub stale_after_s: u32,
    /// Whether the connector is used at all.
    pub is_enabled: bool,
}

/// A connector with its tags.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectorDetails {
    /// The connector itself.
    pub connector: Connector,
    /// Its tags, by name.
    pub tags: Vec<Tag>,
}

impl ConnectorDetails {
    /// What the audit log says of a connector: no name, no configuration, no secret.
    #[must_use]
    pub fn audit_metadata(&self) -> Value {
        let connector = &self.connector;
        json!({
            "kind": connector.kind,
            "classification": connector.classification,
            "enabled": connector.is_enabled,
            "has_secret": connector.secret.is_some(),
            "certificate": connector.trusted_certificate,
            "stale_after_s": connector.stale_after_s,
            "record": connector.recording,
            "tags": self.tags.len(),
            "revision": connector.revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::TagAddress;
    use uuid::Uuid;

    fn tag(name: &str, description: &str, equipment: &str) -> Tag {
        Tag {
            id: TagId::from_uuid(Uuid::nil()),
            name: name.to_owned(),
            mapping: TagMapping { address: TagAddress(name.to_owned()), data_type: None, scale: None },
            unit: None,
            description: Some(description.to_owned()),
            equipment: Some(equipment.to_owned()),
            limits: TagLimits::default(),
        }
    }

    #[test]
    fn spellings_of_a_name_are_equal_and_other_names_differ() {
        for spelling in ["P-101A", "P101A", "10-P-101A", "p 101 a"] {
            assert!(normalized_tag_name(spelling).starts_with("p101a"), "{spelling}");
        }
        assert_eq!(normalized_tag_name("PIT-1001"), normalized_tag_name("pit1001"));
        assert_ne!(normalized_tag_name("PIT-1001"), normalized_tag_name("PIT-1002"));
        assert_eq!(normalized_tag_name("Boiler load"), "boilerload");
    }

    #[test]
    fn a_spelling_has_the_same_words_beside_its_identifiers() {
        for (name, other) in [
            ("P101A", "10-P-101A"),
            ("pit1001", "PIT-1001"),
            ("pit 1001 sp", "PIT-1001.SP"),
            ("PIT-1001", "PIT-1001"),
            ("boiler-load", "Boiler load"),
            ("10LAB20AA001", "10 LAB 20 AA 001"),
        ] {
            assert!(is_spelling_of(name, other) && is_spelling_of(other, name), "{name} {other}");
        }
        for (name, other) in [
            ("PIT-1001", "PIT-1001.SP"),
            ("PIT-1001.PV", "PIT-1001.SP"),
            ("PIT-1001.H", "PIT-1001"),
            ("PIT-1001", "PIT-1002"),
            ("Boiler load", "Boiler load 2"),
        ] {
            assert!(!is_spelling_of(name, other) && !is_spelling_of(other, name), "{name} {other}");
        }
    }

    #[test]
    fn the_named_tag_is_before_tags_of_its_equipment_and_those_before_tags_with_its_words() {
        let query = TagQuery::parse("pressure P101A");
        let by_equipment = tag("PIT-1001", "Discharge pressure", "Site/Area 1/P-101A");
        let by_word = tag("PIT-2004", "Steam pressure", "Site/Area 2/B-201");
        assert!(query.score(&by_equipment) > query.score(&by_word));
        assert!(query.score(&by_word) > 0);
        assert_eq!(query.score(&tag("TT-1001", "Bearing temperature", "Site/Area 1/P-102")), 0);
        let exact = TagQuery::parse("PIT1001");
        assert!(exact.score(&by_equipment) > 50);
        assert_eq!(TagQuery::parse(" * ").score(&by_word), 1, "no words: every tag");
    }
}
