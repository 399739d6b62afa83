//! Estimates whether the hits are good enough to answer from, so that the platform can say "not in your documents"
//! instead of guessing.
//!
//! The estimate uses two values: the best hit's combined similarity and BM25 score, and the share of the question's
//! words that occur in no candidate, weighted by IDF. Plant tags are handled more strictly: if no hit names a tag of
//! the question, the question counts as not answerable, however well the rest matches.

use super::fused_hit::FusedHit;
use super::glossary::{Expansion, Synonym};
use super::params::RetrievalParams;
use super::terms::{hash_stem, terms_of, whole_text};
use super::words;
use domain::ids::DocumentId;
use domain::search::{Candidate, Passage, PassageTerms, TermSource};
use std::collections::{HashMap, HashSet};

/// The confidence is multiplied by this if no hit names a tag of the question.
const MISSING_TAG_FACTOR: f32 = 0.3;

/// How well the hits answer a query.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Evidence {
    /// Probability that the hits answer the query, 0 to 1.
    pub confidence: f32,
    /// Whether every plant tag of the query occurs in at least one hit.
    pub tags_found: bool,
    /// Whether the hits are good enough to answer from.
    pub answerable: bool,
}

/// Plant tags and weighted words of a query.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryTerms {
    tags: HashSet<String>,
    /// Share of the query's words that occur in no candidate, weighted by IDF, 0 to 1.
    missing_share: f32,
}

impl QueryTerms {
    /// Analyzes a query. A word counts as contained in a passage if one of its synonyms is. `candidates` are all
    /// passages that the search considered; they determine the weight of each word (IDF as in BM25), so a word that no
    /// candidate contains has the highest weight.
    #[must_use]
    pub fn new<'p>(query: &str, expansions: &[Expansion], candidates: impl Iterator<Item = &'p Candidate>) -> Self {
        let query_words = QueryWord::of_query(query, expansions);
        let mut counts = vec![0_u32; query_words.len()];
        let mut total = 0_u32;
        for candidate in candidates {
            total += 1;
            let from_text;
            let terms = match &candidate.term_source {
                TermSource::Terms(terms) => terms,
                TermSource::Text(text) => {
                    from_text = terms_of(text);
                    &from_text
                }
            };
            for (count, word) in counts.iter_mut().zip(&query_words) {
                *count += u32::from(word.occurs_in(terms));
            }
        }
        let total = total as f32;
        let idf = |count: f32| (1.0 + (total - count + 0.5) / (count + 0.5)).ln();
        let total_weight: f32 = counts.iter().map(|count| idf(*count as f32)).sum();
        let missing_weight = counts.iter().filter(|count| **count == 0).count() as f32 * idf(0.0);
        Self {
            tags: words::tags(query),
            missing_share: if total_weight > 0.0 { missing_weight / total_weight } else { 0.0 },
        }
    }

    /// The hits that belong to documents whose hits together name all of the query's tags. If no single document
    /// qualifies but all hits together name all tags, returns all hits; if a tag occurs in no hit, returns none.
    fn hits_with_all_tags<'h>(&self, hits: &'h [FusedHit<Passage>]) -> Vec<&'h FusedHit<Passage>> {
        let mut tags_by_document: HashMap<DocumentId, HashSet<String>> = HashMap::new();
        for FusedHit { passage, .. } in hits {
            tags_by_document.entry(passage.document_id).or_default().extend(words::tags(&whole_text(passage)));
        }
        let names_all_tags = |present: &HashSet<String>| self.tags.iter().all(|tag| words::contains_tag(present, tag));
        let all_tags: HashSet<String> = tags_by_document.values().flatten().cloned().collect();
        if !names_all_tags(&all_tags) {
            return Vec::new();
        }
        let in_matching_document =
            |hit: &&FusedHit<Passage>| tags_by_document.get(&hit.passage.document_id).is_some_and(names_all_tags);
        let matching: Vec<&FusedHit<Passage>> = hits.iter().filter(in_matching_document).collect();
        if matching.is_empty() { hits.iter().collect() } else { matching }
    }
}

/// Rates `hits`, which must be sorted best first. If none of the rated hits has a similarity, because there was no
/// query vector, only the BM25 scores are used.
#[must_use]
pub fn estimate_evidence(terms: &QueryTerms, hits: &[FusedHit<Passage>], params: &RetrievalParams) -> Evidence {
    if hits.is_empty() {
        return Evidence { confidence: 0.0, tags_found: terms.tags.is_empty(), answerable: false };
    }
    let tagged_hits = terms.hits_with_all_tags(hits);
    let tags_found = !tagged_hits.is_empty() || terms.tags.is_empty();
    // If a tag is missing, the confidence still reflects how well the rest matches, but `answerable` is false.
    let relevant = if tagged_hits.is_empty() { hits.iter().collect() } else { tagged_hits };
    let best = &relevant[..relevant.len().min(params.evidence_hits)];
    let lexical_only = best.iter().all(|hit| hit.similarity.is_none());
    let (confidence_model, lexical_weight) =
        if lexical_only { (params.lexical_confidence, 1.0) } else { (params.confidence, params.lexical_weight) };
    let strength = best.iter().map(|hit| strength(hit, lexical_weight)).fold(0.0, f32::max);
    let probability = confidence_model.probability(strength, terms.missing_share);
    let confidence = if tags_found { probability } else { probability * MISSING_TAG_FACTOR };
    Evidence { confidence, tags_found, answerable: tags_found && confidence >= params.min_confidence }
}

/// Weighted sum of the hit's similarity and normalized BM25 score, without the page bonus and the reranker's score.
fn strength(hit: &FusedHit<Passage>, lexical_weight: f32) -> f32 {
    let similarity = hit.similarity.unwrap_or_default().clamp(0.0, 1.0);
    (1.0 - lexical_weight) * similarity + lexical_weight * hit.normalized_bm25.unwrap_or_default()
}

/// A word of the query that is not a stop word.
struct QueryWord {
    hash: u32,
    /// The words of each synonym.
    synonyms: Vec<Vec<u32>>,
}

impl QueryWord {
    /// The distinct words of a query, in a fixed order.
    fn of_query(query: &str, expansions: &[Expansion]) -> Vec<Self> {
        let mut stems: Vec<String> = words::stems_without_stop_words(query).into_iter().collect();
        stems.sort_unstable();
        let expansions: Vec<(HashSet<String>, Vec<Vec<u32>>)> = expansions
            .iter()
            .map(|expansion| {
                let synonyms = expansion.synonyms.iter();
                let hashes = |synonym: &Synonym| words::stems(&synonym.text).map(|stem| hash_stem(&stem)).collect();
                (words::stems_without_stop_words(&expansion.matched), synonyms.map(hashes).collect())
            })
            .collect();
        let with_synonyms = |stem: String| Self {
            hash: hash_stem(&stem),
            synonyms: expansions
                .iter()
                .filter(|(matched, _)| matched.contains(&stem))
                .flat_map(|(_, synonyms)| synonyms.iter().filter(|synonym| !synonym.is_empty()).cloned())
                .collect(),
        };
        stems.into_iter().map(with_synonyms).collect()
    }

    /// Whether a passage with these terms contains the word, or all words of one of its synonyms.
    fn occurs_in(&self, terms: &PassageTerms) -> bool {
        let contains = |hash: &u32| terms.contains(*hash);
        contains(&self.hash) || self.synonyms.iter().any(|synonym| synonym.iter().all(contains))
    }
}

#[cfg(test)]
mod tests {
    use super::super::glossary::Glossary;
    use super::super::testing::{candidate_of, passage};
    use super::*;
    use proptest::prelude::*;

    const BOLTS: &str = "The casing tie bolts of P-101A/B are tightened to 480 Nm in three passes.";
    const STRAINER: &str = "Clean the suction strainer of P-101A/B when its differential pressure exceeds 0.25 bar.";

    fn hit(id: u128, text: &str, similarity: impl Into<Option<f32>>, normalized_bm25: f32) -> FusedHit<Passage> {
        let passage = passage(id, 1, Some(1), text);
        FusedHit {
            passage,
            score: 1.0,
            similarity: similarity.into(),
            bm25: Some(20.0 * normalized_bm25),
            normalized_bm25: Some(normalized_bm25),
        }
    }

    fn evidence(query: &str, hits: &[FusedHit<Passage>]) -> Evidence {
        let candidates: Vec<Candidate> = hits.iter().map(|hit| candidate_of(&hit.passage)).collect();
        let expansions = Glossary::built_in().expand(query);
        let terms = QueryTerms::new(query, &expansions, candidates.iter());
        let without_terms = candidates.into_iter().zip(hits).map(|(candidate, hit)| {
            let words = TermSource::Text(whole_text(&hit.passage));
            Candidate { term_source: words, ..candidate }
        });
        let from_texts = QueryTerms::new(query, &expansions, without_terms.collect::<Vec<_>>().iter());
        assert_eq!(terms, from_texts, "{query}");
        estimate_evidence(&terms, hits, &RetrievalParams::default())
    }

    #[test]
    fn a_passage_with_the_questions_words_and_a_similar_vector_answers() {
        let hits = [hit(1, BOLTS, 0.62, 0.4), hit(2, STRAINER, 0.4, 0.1)];
        assert!(evidence("What torque do the casing tie bolts of P-101A get?", &hits).answerable);
    }

    #[test]
    fn a_question_about_a_tag_that_no_hit_names_is_never_answerable() {
        let hits = [hit(1, BOLTS, 0.9, 0.6), hit(2, STRAINER, 0.9, 0.2)];
        let known = evidence("To what torque are the casing tie bolts of P-101A tightened?", &hits);
        let unknown = evidence("To what torque are the casing tie bolts of P-999Z tightened?", &hits);
        assert!(known.answerable && known.tags_found);
        assert!(!unknown.answerable && !unknown.tags_found && unknown.confidence < 0.5, "{unknown:?}");
    }

    #[test]
    fn a_tag_in_the_documents_name_counts_as_named() {
        let mut isolation_hit = hit(1, "Isolate the drive before any work on the casing.", 0.7, 0.4);
        isolation_hit.passage.file_name = "MAN-P101-feedwater-pump.pdf".into();
        assert!(evidence("How do I isolate the drive of P-101?", &[isolation_hit]).tags_found);
    }

    #[test]
    fn a_paraphrase_answers_although_it_shares_few_words() {
        let hits = [hit(1, BOLTS, 0.65, 0.1), hit(2, STRAINER, 0.3, 0.05)];
        assert!(evidence("Are the bolts pulled up in passes?", &hits).answerable);
    }

    #[test]
    fn an_unrelated_passage_does_not_answer() {
        let hits = [hit(1, STRAINER, 0.2, 0.0)];
        assert!(!evidence("How many days of paid leave does a shift operator get?", &hits).answerable);
        let no_hits = evidence("How many days of paid leave?", &[]);
        assert!(!no_hits.answerable && no_hits.confidence == 0.0);
    }

    #[test]
    fn words_that_occur_nowhere_count_against_an_answer() {
        let hits = [hit(1, STRAINER, 0.45, 0.2), hit(2, BOLTS, 0.3, 0.0)];
        let named = evidence("When do I clean the suction strainer?", &hits);
        let near_miss = evidence("Who paints the canteen's suction strainer?", &hits);
        assert!(named.answerable && !near_miss.answerable, "{named:?} {near_miss:?}");
    }

    #[test]
    fn a_synonym_counts_as_the_word_that_it_stands_for() {
        let hits = [hit(1, "Freischaltung: P-101A wird am Trennschalter gesichert. Lockout list of P-101A.", 0.2, 0.2)];
        let candidates: Vec<Candidate> = hits.iter().map(|hit| candidate_of(&hit.passage)).collect();
        let query = "isolating P-101A";
        let missing = |expansions: &[Expansion]| QueryTerms::new(query, expansions, candidates.iter()).missing_share;
        assert!(missing(&[]) > 0.0);
        assert!(missing(&Glossary::built_in().expand(query)).abs() < f32::EPSILON);
    }

    #[test]
    fn without_query_vector_only_bm25_scores_count() {
        let hits = [hit(1, STRAINER, None, 0.5), hit(2, BOLTS, None, 0.1)];
        assert!(evidence("When do I clean the suction strainer?", &hits).answerable);
        let hits = [hit(1, STRAINER, None, 0.1)];
        assert!(!evidence("Who supplies natural gas to the site?", &hits).answerable);
    }

    proptest! {
        #[test]
        fn confidence_stays_from_0_to_1_and_no_hits_give_none(
            query in ".{0,80}",
            texts in proptest::collection::vec((".{0,80}", proptest::option::of(-1.0_f32..=1.0)), 0..6),
        ) {
            let hits = texts.iter().enumerate();
            let hits: Vec<FusedHit<Passage>> =
                hits.map(|(n, (text, similarity))| hit(n as u128, text, *similarity, 0.3)).collect();
            let evidence = evidence(&query, &hits);
            prop_assert!((0.0..=1.0).contains(&evidence.confidence), "{evidence:?}");
            prop_assert!(!hits.is_empty() || !evidence.answerable);
        }
    }
}
