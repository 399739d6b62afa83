//! The glossary of the process industry: which words of a query mean the same as others, in English and German. What a
//! plant calls `lock-out`, a question may call `isolate` or `freischalten`. A tenant's own glossary extends it.
//!
//! Synonyms extend the lexical search with less weight than the query's own words, and count as the words that they
//! stand for when the search decides whether the documents hold an answer. They never change what is embedded.

mod cache;
mod language;
mod term;

pub use cache::GlossaryCache;

use domain::glossary::{Concept, GlossaryLanguage, GlossarySource};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use term::{QueryWords, Term};

/// Concept, language and terms of each line, separated by commas; terms are separated by semicolons.
const PROCESS_INDUSTRY: &str = include_str!("process_industry.csv");
/// Maximum number of synonyms per query, so that a long query does not read the postings of a whole dictionary.
const MAX_SYNONYMS: usize = 48;

static BUILT_IN: LazyLock<Arc<Glossary>> = LazyLock::new(|| Arc::new(Builder::with_built_in().glossary));

/// Words of a query with the synonyms that they were found to have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expansion {
    /// The words of the query, in lower case, as in `lock out`.
    pub matched: String,
    /// What else means the same: first the tenant's own terms, then the built-in ones.
    pub synonyms: Vec<Synonym>,
}

/// A term that means the same as words of a query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The term as the glossary spells it.
    pub text: String,
    /// Which glossary it is from.
    pub source: GlossarySource,
    /// Whether it is in another language than the query, so that it finds passages in that language.
    pub is_translation: bool,
}

/// Concepts, and the terms that name them.
#[derive(Debug, Default)]
pub struct Glossary {
    terms: Vec<Term>,
    /// Indexes of the terms of each concept.
    concepts: Vec<Vec<usize>>,
    /// Languages that have terms.
    languages: BTreeSet<GlossaryLanguage>,
    /// Indexes of the terms that begin with a stem, per language.
    by_first_stem: HashMap<(GlossaryLanguage, String), Vec<usize>>,
    /// Indexes of the words that also match as the first part of a compound.
    compound_parts: Vec<usize>,
}

impl Glossary {
    /// The glossary that is part of the platform.
    #[must_use]
    pub fn built_in() -> &'static Arc<Self> {
        &BUILT_IN
    }

    /// The built-in glossary with a tenant's own concepts. One with the name of a built-in concept adds to its terms.
    #[must_use]
    pub fn with_own(concepts: &[Concept]) -> Self {
        let mut builder = Builder::with_built_in();
        for concept in concepts {
            let number = builder.concept_number(&concept.name);
            for (language, terms) in &concept.terms {
                for text in terms.iter().filter(|text| !builder.has_term(number, *language, text)).collect::<Vec<_>>() {
                    builder.add(Term::new(text, *language, number, GlossarySource::Tenant));
                }
            }
        }
        builder.glossary
    }

    /// The synonyms of the query's words. Synonyms that the query contains anyway are left out. The query's language is
    /// told by its function words; without any, it is that of the term that the query contains.
    #[must_use]
    pub fn expand(&self, query: &str) -> Vec<Expansion> {
        let words = QueryWords::new(query, &self.languages);
        let (mut expansions, mut seen_concepts, mut budget) = (Vec::new(), BTreeSet::new(), MAX_SYNONYMS);
        for position in 0..words.len() {
            for (term, length) in self.terms_at(&words, position) {
                if budget == 0 || !seen_concepts.insert(term.concept) {
                    continue;
                }
                let mut synonyms = self.synonyms(term, &words);
                synonyms.truncate(budget);
                budget -= synonyms.len();
                if !synonyms.is_empty() {
                    expansions.push(Expansion { matched: words.text(position, length), synonyms });
                }
            }
        }
        expansions
    }

    /// The terms that begin at a word of the query, the longest first, each with its number of words.
    fn terms_at(&self, words: &QueryWords, position: usize) -> Vec<(&Term, usize)> {
        let mut found: Vec<(&Term, usize)> = Vec::new();
        for language in self.languages.iter().copied() {
            let Some(stem) = words.stem(position, language) else { continue };
            let candidates = self.by_first_stem.get(&(language, stem.to_owned())).into_iter().flatten();
            let whole = candidates.map(|index| &self.terms[*index]).filter(|term| words.contains(term, position));
            found.extend(whole.map(|term| (term, term.stems.len())));
        }
        let parts = self.compound_parts.iter().map(|index| &self.terms[*index]);
        found.extend(parts.filter(|term| words.is_compound_with(term, position)).map(|term| (term, 1)));
        found.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        found
    }

    /// Other terms of the same concept. Of the same language, only single words: the parts of a phrase are no synonyms.
    fn synonyms(&self, term: &Term, words: &QueryWords) -> Vec<Synonym> {
        let others = self.concepts[term.concept].iter().map(|index| &self.terms[*index]);
        let query_language = words.language().unwrap_or(term.language);
        let mut synonyms: Vec<Synonym> = others
            .filter(|other| other.stems.len() == 1 || other.language != term.language)
            .filter(|other| !words.contains_anywhere(other))
            .map(|other| Synonym {
                text: other.text.clone(),
                source: other.source,
                is_translation: other.language != query_language,
            })
            .collect();
        synonyms.sort_by_key(|synonym| synonym.source != GlossarySource::Tenant);
        synonyms
    }
}

/// A glossary that is being built, with the names of its concepts.
#[derive(Default)]
struct Builder {
    glossary: Glossary,
    /// Numbers of the concepts by name in lower case.
    concept_numbers: HashMap<String, usize>,
}

impl Builder {
    /// A builder that has the built-in glossary. Lines that are not `concept,language,terms` are skipped; a test checks
    /// the file.
    fn with_built_in() -> Self {
        let mut builder = Self::default();
        for line in PROCESS_INDUSTRY.lines() {
            let mut columns = line.splitn(3, ',');
            let (Some(concept), Some(language), Some(terms)) = (columns.next(), columns.next(), columns.next()) else {
                continue;
            };
            let Ok(language) = language.parse::<GlossaryLanguage>() else { continue };
            let number = builder.concept_number(concept);
            for text in terms.split(';') {
                builder.add(Term::new(text, language, number, GlossarySource::BuiltIn));
            }
        }
        builder
    }

    /// The number of the concept with this name, which is a new one if there is none.
    fn concept_number(&mut self, name: &str) -> usize {
        let concepts = &mut self.glossary.concepts;
        *self.concept_numbers.entry(name.to_lowercase()).or_insert_with(|| {
            concepts.push(Vec::new());
            concepts.len() - 1
        })
    }

    fn has_term(&self, concept: usize, language: GlossaryLanguage, text: &str) -> bool {
        let mut terms = self.glossary.concepts[concept].iter().map(|index| &self.glossary.terms[*index]);
        terms.any(|term| term.language == language && term.text.to_lowercase() == text.to_lowercase())
    }

    fn add(&mut self, term: Term) {
        let glossary = &mut self.glossary;
        let index = glossary.terms.len();
        let Some(first) = term.stems.first() else { return };
        glossary.by_first_stem.entry((term.language, first.clone())).or_default().push(index);
        if term.is_compound_part() {
            glossary.compound_parts.push(index);
        }
        glossary.languages.insert(term.language);
        glossary.concepts[term.concept].push(index);
        glossary.terms.push(term);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn texts(expansions: Vec<Expansion>) -> Vec<String> {
        expansions.into_iter().flat_map(|expansion| expansion.synonyms).map(|synonym| synonym.text).collect()
    }

    fn synonyms(query: &str) -> Vec<String> {
        texts(Glossary::built_in().expand(query))
    }

    fn contains(found: &[String], text: &str) -> bool {
        found.iter().any(|synonym| synonym == text)
    }

    fn concept(name: &str, language: GlossaryLanguage, terms: &[&str]) -> Concept {
        let terms = terms.iter().map(|term| (*term).to_owned()).collect();
        Concept { name: name.to_owned(), terms: BTreeMap::from([(language, terms)]) }
    }

    #[test]
    fn every_line_of_the_built_in_glossary_has_a_concept_a_language_and_terms() {
        for line in PROCESS_INDUSTRY.lines() {
            let columns: Vec<&str> = line.splitn(3, ',').collect();
            assert!(columns.len() == 3 && columns[1].parse::<GlossaryLanguage>().is_ok(), "{line}");
            assert!(columns[2].split(';').all(|term| !term.trim().is_empty() && term.trim() == term), "{line}");
        }
        let glossary = Glossary::built_in();
        let expected = BTreeSet::from([GlossaryLanguage::English, GlossaryLanguage::German]);
        for terms in &glossary.concepts {
            let languages: BTreeSet<_> = terms.iter().map(|index| glossary.terms[*index].language).collect();
            assert_eq!(languages, expected, "{:?}", glossary.terms[terms[0]]);
        }
    }

    #[test]
    fn isolation_meets_lock_out_in_both_languages_and_in_every_inflection() {
        for query in ["How do I isolate P-101 before opening it?", "isolating the pump", "Wie schalte ich P-101 frei?"]
        {
            let found = synonyms(query);
            if query.starts_with("Wie") {
                // A separable verb that stands apart is not recognized.
                assert!(!contains(&found, "lockout"), "{query}: {found:?}");
            } else {
                assert!(contains(&found, "LOTO") && contains(&found, "Freischaltung"), "{query}: {found:?}");
            }
        }
        for query in ["Wie wird P-101 freigeschaltet?", "Freischaltung von P-101", "die Freischaltliste der Pumpe"] {
            let found = synonyms(query);
            assert!(contains(&found, "isolation") && contains(&found, "lock out"), "{query}: {found:?}");
        }
    }

    #[test]
    fn phrases_are_found_as_a_whole_and_add_no_phrases_of_their_own_language() {
        let expansions = Glossary::built_in().expand("Where is the relief valve?");
        assert_eq!(expansions[0].matched, "relief valve", "{expansions:?}");
        let found = texts(expansions);
        assert!(contains(&found, "PSV") && contains(&found, "Sicherheitsventil"), "{found:?}");
        assert!(!contains(&found, "pressure relief"), "{found:?}");
    }

    #[test]
    fn words_that_the_query_has_are_not_added() {
        let found = synonyms("isolation and lockout");
        assert!(
            !contains(&found, "isolation") && !contains(&found, "lockout") && contains(&found, "LOTO"),
            "{found:?}"
        );
    }

    #[test]
    fn questions_without_a_known_word_stay_as_they_are() {
        assert_eq!(Glossary::built_in().expand("Who won the football match?"), []);
        assert_eq!(Glossary::built_in().expand(""), []);
    }

    #[test]
    fn terms_in_another_language_than_the_querys_are_translations() {
        for (query, of_query, translation) in [
            ("How do I isolate P-101?", "lockout", "Freischaltung"),
            ("Wie wird P-101 freigeschaltet?", "absperren", "lockout"),
            ("Was ist LOTO?", "Freischaltung", "lockout"),
            ("Freischaltung P-101", "absperren", "lockout"),
        ] {
            let expansions = Glossary::built_in().expand(query);
            let is_translation = |text: &str| {
                let mut synonyms = expansions.iter().flat_map(|expansion| &expansion.synonyms);
                synonyms.find(|synonym| synonym.text == text).map(|synonym| synonym.is_translation)
            };
            assert_eq!(is_translation(of_query), Some(false), "{query}: {expansions:?}");
            assert_eq!(is_translation(translation), Some(true), "{query}: {expansions:?}");
        }
    }

    #[test]
    fn a_tenants_concept_extends_the_built_in_one_of_its_name() {
        let own = [concept("Isolation", GlossaryLanguage::German, &["Freischaltung", "Steckscheibe"])];
        let expansions = Glossary::with_own(&own).expand("Steckscheibe von P-101");
        assert_eq!(expansions[0].matched, "steckscheibe");
        let found = texts(expansions);
        assert!(contains(&found, "lock out") && contains(&found, "LOTO"), "{found:?}");
        let reverse = Glossary::with_own(&own).expand("isolating P-101");
        assert_eq!(
            reverse[0].synonyms.first(),
            Some(&Synonym { text: "Steckscheibe".to_owned(), source: GlossarySource::Tenant, is_translation: true }),
            "the tenant's own terms come first"
        );
        let of_both = reverse[0].synonyms.iter().filter(|synonym| synonym.text == "Freischaltung");
        assert_eq!(of_both.map(|synonym| synonym.source).collect::<Vec<_>>(), [GlossarySource::BuiltIn]);
    }

    #[test]
    fn a_tenants_concept_joins_words_in_other_languages() {
        let own = Concept {
            name: "our flare".to_owned(),
            terms: BTreeMap::from([
                (GlossaryLanguage::Spanish, vec!["antorcha norte".to_owned()]),
                (GlossaryLanguage::English, vec!["Big Bertha".to_owned()]),
            ]),
        };
        let glossary = Glossary::with_own(&[own]);
        assert_eq!(texts(glossary.expand("¿Dónde está la antorcha norte?")), ["Big Bertha"]);
        assert_eq!(texts(glossary.expand("Where is big bertha?")), ["antorcha norte"]);
        assert_eq!(synonyms("Where is big bertha?"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_query_gets_a_bounded_number_of_synonyms(query in ".{0,300}") {
            prop_assert!(synonyms(&query).len() <= MAX_SYNONYMS);
        }
    }
}
