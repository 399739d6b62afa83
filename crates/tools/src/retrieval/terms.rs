//! The terms of a passage, which ingestion stores with it so that a search knows its words without reading its text.
//!
//! A change to the definition of a term, or to its hash, invalidates stored terms. It needs a migration that sets them
//! to NULL; searches then read the texts until the documents are ingested again.

use super::words;
use domain::search::{Passage, PassageTerms};

/// The terms of a passage that is being ingested, from all text that a citation shows.
#[must_use]
pub fn passage_terms(file_name: &str, title: &str, section: Option<&str>, content: &str) -> PassageTerms {
    terms_of(&join_texts(file_name, title, section, content))
}

/// The terms of a text: the stems of all its words. Stop words are included, because a query word that is not a stop
/// word may have the same stem as one (`needed` and `need`).
pub(super) fn terms_of(text: &str) -> PassageTerms {
    PassageTerms::new(words::stems(text).map(|stem| hash_stem(&stem)))
}

/// File name, title, section and content: all text that a citation shows.
pub(super) fn whole_text(passage: &Passage) -> String {
    join_texts(&passage.file_name, &passage.title, passage.section.as_deref(), &passage.content)
}

fn join_texts(file_name: &str, title: &str, section: Option<&str>, content: &str) -> String {
    let section = section.unwrap_or_default();
    format!("{file_name}\n{title}\n{section}\n{content}")
}

/// The hash under which a stem is stored: 64-bit FNV-1a, folded to 32 bits. A query of two words collides with one of a
/// passage's hundred terms about once in 20 million times.
pub(super) fn hash_stem(stem: &str) -> u32 {
    let hash = words::fnv(stem.bytes());
    ((hash >> 32) ^ (hash & 0xFFFF_FFFF)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// If this fails, the terms that are already stored are invalid; see the module documentation.
    #[test]
    fn stored_terms_stay_valid() {
        assert_eq!(
            [hash_stem("valv"), hash_stem("p-101a"), hash_stem("größ")],
            [0xAEAA_5CBE, 0x25F5_7A23, 0xBEB3_37B8]
        );
        let terms = passage_terms("SOP-1.pdf", "Valves", Some("Closing"), "Needed: the İ valve.");
        let stems = ["sop", "pdf", "valv", "clos", "need", "the", "i\u{307}"];
        assert_eq!(terms, PassageTerms::new(stems.map(hash_stem)), "single characters are not terms");
    }

    proptest! {
        #[test]
        fn terms_contain_a_querys_stems_exactly_if_the_text_does(
            text in "[a-zA-Z0-9äÖßİΣ ,.-]{0,120}",
            query in "[a-zA-Z0-9äÖßİΣ ,.-]{0,60}",
            shared in proptest::bool::ANY,
        ) {
            let query = if shared { format!("{query} {text}") } else { query };
            assert_terms_match_text(&text, &query)?;
        }

        #[test]
        fn terms_match_inflected_words_and_stop_words(
            text in proptest::collection::vec(word(), 0..12),
            query in proptest::collection::vec(word(), 0..12),
        ) {
            assert_terms_match_text(&text.join(" "), &query.join(" "))?;
        }
    }

    fn word() -> impl Strategy<Value = String> {
        let root = proptest::sample::select(vec!["need", "get", "pleas", "giv", "do", "valv", "hav", "som", "b", "i"]);
        let ending = proptest::sample::select(vec!["", "e", "ed", "es", "s", "ing", "ting", "ly", "ies", "y"]);
        (root, ending).prop_map(|(root, ending)| format!("{root}{ending}"))
    }

    fn assert_terms_match_text(text: &str, query: &str) -> Result<(), TestCaseError> {
        let stems: HashSet<String> = words::stems_without_stop_words(query);
        let stems: Vec<&str> = stems.iter().map(String::as_str).collect();
        let terms = terms_of(text);
        let by_terms: Vec<bool> = stems.iter().map(|stem| terms.contains(hash_stem(stem))).collect();
        let present: HashSet<String> = words::stems(text).collect();
        let by_text: Vec<bool> = stems.iter().map(|stem| present.contains(*stem)).collect();
        prop_assert_eq!(by_terms, by_text, "{:?}", stems);
        Ok(())
    }
}
