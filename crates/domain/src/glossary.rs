//! A tenant's own glossary: concepts of its plant, and the words that name them in each language.

use crate::ids::UserId;
use crate::role::string_enum;
use crate::text::ShortText;
use crate::time::Timestamp;
use crate::upload::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

string_enum! {
    /// A language of terms, as a code of ISO 639-1.
    GlossaryLanguage {
        /// Terms in English.
        English = "en",
        /// Terms in German.
        German = "de",
        /// Terms in Spanish.
        Spanish = "es",
        /// Terms in French.
        French = "fr",
        /// Terms in Italian.
        Italian = "it",
        /// Terms in Dutch.
        Dutch = "nl",
        /// Terms in Portuguese.
        Portuguese = "pt",
    }
}

string_enum! {
    /// Which glossary a synonym is from.
    GlossarySource {
        /// The one that is part of the platform.
        BuiltIn = "built_in",
        /// The tenant's own.
        Tenant = "tenant",
    }
}

/// A concept, and the terms that name it. A concept with the name of a built-in one extends that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Concept {
    /// Name, unique within the glossary regardless of case.
    pub name: String,
    /// Words and phrases that mean the same, by language.
    pub terms: BTreeMap<GlossaryLanguage, Vec<String>>,
}

impl Concept {
    /// Maximum number of terms of one concept in one language.
    pub const MAX_TERMS: usize = 50;

    /// The name as names are compared.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.to_lowercase()
    }

    /// Trims name and terms, and checks them. Pointers are relative to the concept.
    fn normalized(self) -> Result<Self, FieldError> {
        let name = normalize("/name", &self.name)?;
        let mut terms = BTreeMap::new();
        for (language, unchecked) in self.terms {
            if unchecked.len() > Self::MAX_TERMS {
                let detail = format!("must be at most {} terms", Self::MAX_TERMS);
                return Err(FieldError { pointer: format!("/terms/{language}"), detail });
            }
            let (mut checked, mut seen) = (Vec::with_capacity(unchecked.len()), HashSet::new());
            for (index, term) in unchecked.iter().enumerate() {
                let pointer = format!("/terms/{language}/{index}");
                let term = normalize(&pointer, term)?;
                if !term.contains(char::is_alphanumeric) {
                    return Err(FieldError { pointer, detail: "must have a letter or a digit".to_owned() });
                }
                if !seen.insert(term.to_lowercase()) {
                    return Err(FieldError { pointer, detail: "is a term of this concept already".to_owned() });
                }
                checked.push(term);
            }
            if !checked.is_empty() {
                terms.insert(language, checked);
            }
        }
        if terms.is_empty() {
            let detail = "must have at least one term in one language".to_owned();
            return Err(FieldError { pointer: "/terms".to_owned(), detail });
        }
        Ok(Self { name, terms })
    }
}

fn normalize(pointer: &str, text: &str) -> Result<String, FieldError> {
    let parsed = ShortText::parse(text);
    let error = |cause: crate::text::TextError| FieldError { pointer: pointer.to_owned(), detail: cause.to_string() };
    parsed.map(ShortText::into_string).map_err(error)
}

/// The concepts of a glossary: checked, and within bounds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Concepts(Vec<Concept>);

impl Concepts {
    /// Maximum number of concepts.
    pub const MAX: usize = 2_000;
    /// Maximum number of terms of all concepts together.
    pub const MAX_TERMS: usize = 10_000;

    /// Trims and checks concepts.
    ///
    /// # Errors
    /// If there are too many concepts or terms, two concepts have one name, or a text is empty or longer than 128
    /// characters. The pointer begins with the concept's index, as in `/3/terms/de/0`.
    pub fn parse(concepts: Vec<Concept>) -> Result<Self, FieldError> {
        if concepts.len() > Self::MAX {
            let detail = format!("must be at most {} concepts", Self::MAX);
            return Err(FieldError { pointer: String::new(), detail });
        }
        let (mut checked, mut names) = (Vec::with_capacity(concepts.len()), HashSet::new());
        for (index, concept) in concepts.into_iter().enumerate() {
            let at = |cause: FieldError| FieldError { pointer: format!("/{index}{}", cause.pointer), ..cause };
            let concept = concept.normalized().map_err(at)?;
            if !names.insert(concept.key()) {
                let detail = "is the name of an earlier concept".to_owned();
                return Err(FieldError { pointer: format!("/{index}/name"), detail });
            }
            checked.push(concept);
        }
        let concepts = Self(checked);
        if concepts.term_count() > Self::MAX_TERMS {
            let detail = format!("must have at most {} terms together", Self::MAX_TERMS);
            return Err(FieldError { pointer: String::new(), detail });
        }
        Ok(concepts)
    }

    /// Concepts that were checked before they were stored.
    #[must_use]
    pub fn from_stored(concepts: Vec<Concept>) -> Self {
        Self(concepts)
    }

    /// The concepts in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Concept] {
        &self.0
    }

    /// The concepts in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Concept> {
        self.0
    }

    /// Adds concepts; those of the same name are replaced where they are.
    ///
    /// # Errors
    /// If there are too many concepts or terms then.
    pub fn with_imported(&self, imported: &Self) -> Result<Self, FieldError> {
        let mut merged = self.0.clone();
        let mut positions: HashMap<String, usize> =
            merged.iter().enumerate().map(|(position, concept)| (concept.key(), position)).collect();
        for concept in &imported.0 {
            match positions.get(&concept.key()) {
                Some(position) => merged[*position] = concept.clone(),
                None => {
                    positions.insert(concept.key(), merged.len());
                    merged.push(concept.clone());
                }
            }
        }
        Self::parse(merged)
    }

    /// Number of terms of all concepts.
    #[must_use]
    pub fn term_count(&self) -> usize {
        self.0.iter().flat_map(|concept| concept.terms.values()).map(Vec::len).sum()
    }
}

/// A version of a tenant's glossary. A version is never changed; each change stores the next one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GlossaryVersion {
    /// Number of the version, from 1; 0 for a tenant that has no glossary.
    pub version: i64,
    /// The concepts of this version.
    pub concepts: Concepts,
    /// Who made the change; `None` for version 0.
    pub changed_by: Option<UserId>,
    /// When the change was made; `None` for version 0.
    pub changed_at: Option<Timestamp>,
}

impl GlossaryVersion {
    /// Number of versions that are kept, including the current one.
    pub const KEPT: i64 = 20;

    /// Metadata of the audit row: numbers without words.
    #[must_use]
    pub fn change_metadata(before: &Self, after: &Self) -> Value {
        let numbers = |version: &Self| {
            json!({
                "version": version.version, "concepts": version.concepts.as_slice().len(),
                "terms": version.concepts.term_count(),
            })
        };
        json!({ "before": numbers(before), "after": numbers(after) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(name: &str, terms: &[(GlossaryLanguage, &[&str])]) -> Concept {
        let terms =
            terms.iter().map(|(language, terms)| (*language, terms.iter().map(|term| (*term).into()).collect()));
        Concept { name: name.to_owned(), terms: terms.collect() }
    }

    fn pointer(concepts: Vec<Concept>) -> String {
        Concepts::parse(concepts).expect_err("refused").pointer
    }

    #[test]
    fn texts_are_trimmed_and_each_wrong_one_is_named() {
        use GlossaryLanguage::{English, German};
        let parsed = Concepts::parse(vec![concept(" Isolation ", &[(English, &[" lock out "]), (German, &[])])]);
        assert_eq!(parsed, Ok(Concepts(vec![concept("Isolation", &[(English, &["lock out"])])])));
        let good = || concept("a", &[(English, &["b"])]);
        assert_eq!(pointer(vec![good(), concept(" ", &[(English, &["b"])])]), "/1/name");
        assert_eq!(pointer(vec![good(), concept("A", &[(English, &["b"])])]), "/1/name");
        assert_eq!(pointer(vec![concept("a", &[(German, &[])])]), "/0/terms");
        assert_eq!(pointer(vec![concept("a", &[(German, &["b", "-"])])]), "/0/terms/de/1");
        assert_eq!(pointer(vec![concept("a", &[(German, &["b", "B "])])]), "/0/terms/de/1");
        assert_eq!(pointer(vec![concept("a", &[(German, &[&"x".repeat(129)])])]), "/0/terms/de/0");
        assert_eq!(pointer(vec![concept("a", &[(German, &["x"; 51])])]), "/0/terms/de");
    }

    #[test]
    fn the_number_of_concepts_and_terms_is_bounded() {
        let many = |count: usize| (0..count).map(|n| concept(&n.to_string(), &[(GlossaryLanguage::English, &["a"])]));
        assert!(Concepts::parse(many(Concepts::MAX).collect()).is_ok());
        assert_eq!(pointer(many(Concepts::MAX + 1).collect()), "");
        let terms: Vec<String> = (0..Concept::MAX_TERMS).map(|n| n.to_string()).collect();
        let large = |n: usize| {
            let terms = BTreeMap::from([(GlossaryLanguage::English, terms.clone())]);
            Concept { name: n.to_string(), terms }
        };
        let allowed = Concepts::MAX_TERMS / Concept::MAX_TERMS;
        assert!(Concepts::parse((0..allowed).map(large).collect()).is_ok());
        assert_eq!(pointer((0..=allowed).map(large).collect()), "");
    }

    #[test]
    fn an_import_replaces_concepts_of_the_same_name_in_their_place() {
        use GlossaryLanguage::{English, German};
        let before = Concepts(vec![concept("one", &[(English, &["a"])]), concept("two", &[(English, &["b"])])]);
        let imported = Concepts(vec![concept("ONE", &[(German, &["c"])]), concept("three", &[(German, &["d"])])]);
        let after = before.with_imported(&imported).expect("within bounds");
        let names: Vec<&str> = after.as_slice().iter().map(|concept| concept.name.as_str()).collect();
        assert_eq!(names, ["ONE", "two", "three"]);
        assert_eq!(after.as_slice()[0].terms, BTreeMap::from([(German, vec!["c".to_owned()])]));
        assert_eq!(after.term_count(), 3);
    }

    #[test]
    fn a_stored_concept_has_its_terms_by_language_code() {
        let stored = serde_json::to_value(concept("a", &[(GlossaryLanguage::German, &["b"])])).expect("JSON");
        assert_eq!(stored, json!({ "name": "a", "terms": { "de": ["b"] } }));
        assert_eq!(
            serde_json::from_value::<Concept>(stored).expect("a concept"),
            concept("a", &[(GlossaryLanguage::German, &["b"])])
        );
    }

    #[test]
    fn audit_rows_hold_numbers_and_no_words() {
        let concepts = Concepts(vec![concept("secret", &[(GlossaryLanguage::German, &["b", "c"])])]);
        let after = GlossaryVersion { version: 1, concepts, ..GlossaryVersion::default() };
        assert_eq!(
            GlossaryVersion::change_metadata(&GlossaryVersion::default(), &after),
            json!({
                "before": { "version": 0, "concepts": 0, "terms": 0 },
                "after": { "version": 1, "concepts": 1, "terms": 2 },
            })
        );
    }
}
