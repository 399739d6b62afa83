//! Explains why a passage was found: which of the query's words, synonyms and plant tags it contains.

use super::glossary::{Expansion, Glossary};
use super::terms::{hash_stem, terms_of, whole_text};
use super::words;
use domain::search::{HitExplanation, Passage, PassageTerms, SynonymMatch};
use std::collections::HashSet;

/// Explains the hits of one query.
#[derive(Clone, Debug)]
pub struct Explainer {
    words: Vec<String>,
    expansions: Vec<Expansion>,
    tags: HashSet<String>,
}

impl Explainer {
    /// Analyzes a query. `glossary` tells which other words mean the same.
    #[must_use]
    pub fn new(query: &str, glossary: &Glossary) -> Self {
        Self { words: words::content_words(query), expansions: glossary.expand(query), tags: words::tags(query) }
    }

    /// Returns which words, synonyms and tags of the query occur in the passage's file name, title, section or content.
    #[must_use]
    pub fn explain(&self, passage: &Passage) -> HitExplanation {
        let text = whole_text(passage);
        let terms = terms_of(&text);
        let contained_words = self.words.iter().filter(|word| contains_all(&terms, word)).cloned().collect();
        let synonyms = self.expansions.iter().filter_map(|expansion| synonym_match(expansion, &terms)).collect();
        let present = words::tags(&text);
        let mut tags: Vec<String> =
            self.tags.iter().filter(|tag| words::contains_tag(&present, tag)).cloned().collect();
        tags.sort_unstable();
        HitExplanation { words: contained_words, synonyms, tags }
    }
}

/// The first synonym that the passage contains instead of the query's own words.
fn synonym_match(expansion: &Expansion, terms: &PassageTerms) -> Option<SynonymMatch> {
    let synonym = expansion.synonyms.iter().find(|synonym| contains_all(terms, &synonym.text))?;
    let is_literal = contains_all(terms, &expansion.matched);
    (!is_literal).then(|| SynonymMatch {
        words: expansion.matched.clone(),
        synonym: synonym.text.clone(),
        source: synonym.source,
    })
}

/// Whether all words of `phrase` are among the terms; `false` if it has none.
fn contains_all(terms: &PassageTerms, phrase: &str) -> bool {
    let mut stems = words::stems(phrase).peekable();
    stems.peek().is_some() && stems.all(|stem| terms.contains(hash_stem(&stem)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::passage;
    use super::*;
    use domain::glossary::{Concept, GlossaryLanguage, GlossarySource};
    use std::collections::BTreeMap;

    fn explain(query: &str, passage: &Passage) -> HitExplanation {
        Explainer::new(query, Glossary::built_in()).explain(passage)
    }

    #[test]
    fn words_synonyms_and_tags_of_a_hit_are_told_apart() {
        let found = passage(1, 1, Some(1), "Lock-out list: the LOTO points of P-101A/B. Open the casing afterwards.");
        let explanation = explain("How do I isolate P-101 before opening it?", &found);
        assert_eq!(explanation.words, ["opening"]);
        assert_eq!(explanation.synonyms.len(), 1, "{explanation:?}");
        assert_eq!(explanation.synonyms[0].words, "isolate");
        assert_eq!(explanation.synonyms[0].source, GlossarySource::BuiltIn);
        assert_eq!(explanation.tags, ["P101"]);
    }

    #[test]
    fn a_word_that_is_there_itself_is_no_synonym() {
        let found = passage(1, 1, Some(1), "Isolate the pump by lockout.");
        let explanation = explain("isolate", &found);
        assert_eq!((explanation.words, explanation.synonyms), (vec!["isolate".to_owned()], Vec::new()));
    }

    #[test]
    fn a_synonym_of_the_tenants_own_glossary_is_named_as_such() {
        let terms = BTreeMap::from([(GlossaryLanguage::German, vec!["Steckscheibe".to_owned()])]);
        let glossary = Glossary::with_own(&[Concept { name: "isolation".to_owned(), terms }]);
        let found = passage(1, 1, Some(1), "Vor der Pumpe P-101A wird eine Steckscheibe gesetzt.");
        let explanation = Explainer::new("How do I isolate P-101A?", &glossary).explain(&found);
        let expected = SynonymMatch {
            words: "isolate".to_owned(),
            synonym: "Steckscheibe".to_owned(),
            source: GlossarySource::Tenant,
        };
        assert_eq!(explanation.synonyms, [expected]);
        assert_eq!(explain("How do I isolate P-101A?", &found).synonyms, []);
    }
}
