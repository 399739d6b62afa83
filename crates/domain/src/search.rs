//! Search: filters, passages, hits and results.

use crate::classified::HasClassification;
use crate::glossary::GlossarySource;
use crate::ids::{ChunkId, DocumentId};
use crate::role::Classification;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The caller's filters on the documents to search.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchFilters {
    /// Only these documents; empty means all.
    pub document_ids: Vec<DocumentId>,
    /// Only documents with at least one of these tags; empty means all.
    pub tags: Vec<String>,
    /// Only documents of this kind.
    pub doc_type: Option<String>,
    /// Whether to include documents that were superseded or are not in force yet.
    pub include_superseded: bool,
}

/// The set of passages that a search considers: the caller's filters and, always, the caller's clearance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchScope {
    /// The caller's filters.
    pub filters: SearchFilters,
    /// Passages of a higher classification are excluded in SQL, before ranking.
    pub clearance: Classification,
}

/// What the lexical search looks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LexicalQuery {
    /// The query's own words.
    pub text: String,
    /// What else means the same as words of `text`.
    pub synonyms: Vec<WeightedSynonym>,
}

/// A word or phrase that means the same as words of a query.
#[derive(Clone, PartialEq, Debug)]
pub struct WeightedSynonym {
    /// The word or phrase; each of its words is searched by itself.
    pub text: String,
    /// How much each of its words counts relative to a word of the query, above 0 and up to 1.
    pub weight: f32,
}

impl From<&str> for LexicalQuery {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), synonyms: Vec::new() }
    }
}

/// A passage with its position in a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Passage {
    /// UUIDv7 of the passage.
    pub chunk_id: ChunkId,
    /// Document that the passage is part of.
    pub document_id: DocumentId,
    /// Index of the passage within the document, from 0.
    pub chunk_index: i32,
    /// The document's file name.
    pub file_name: String,
    /// The document's title.
    pub title: String,
    /// Page in the file, from 1.
    pub page: Option<u32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Text of the passage.
    pub content: String,
    /// Decides who may see the content and which backends may serve it.
    pub classification: Classification,
}

/// A passage that a search considers, with what ranking needs instead of its text.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// UUIDv7 of the passage.
    pub chunk_id: ChunkId,
    /// Document that the passage is part of.
    pub document_id: DocumentId,
    /// Index of the passage within the document, from 0.
    pub chunk_index: i32,
    /// Page in the file, from 1.
    pub page: Option<u32>,
    /// Identifies the headings above the passage.
    pub section: Option<SectionKey>,
    /// Kind of its document, in the plant's own words.
    pub doc_type: Option<String>,
    /// Classification of the content.
    pub classification: Classification,
    /// The words of the passage.
    pub term_source: TermSource,
}

/// A hash of the headings above a passage. Keys from one store are equal if the headings are; keys of different stores
/// must not be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SectionKey(pub i64);

/// The words of a candidate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TermSource {
    /// The terms that were stored with the passage.
    Terms(PassageTerms),
    /// File name, title, section and content on separate lines, for a passage that was stored without terms.
    Text(String),
}

/// The distinct terms of a passage as 32-bit hashes. The code that ingests and searches defines the terms and the hash
/// function; stores only keep the bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassageTerms {
    /// The hashes in ascending order, big-endian, four bytes each.
    bytes: Vec<u8>,
}

impl PassageTerms {
    /// Sorts the hashes and removes duplicates.
    #[must_use]
    pub fn new(hashes: impl IntoIterator<Item = u32>) -> Self {
        let hashes: BTreeSet<u32> = hashes.into_iter().collect();
        Self { bytes: hashes.into_iter().flat_map(u32::to_be_bytes).collect() }
    }

    /// The terms from the bytes of [`Self::as_bytes`], which are not checked.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The hashes in ascending order, big-endian, four bytes each.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a hash is among the terms (a binary search).
    #[must_use]
    pub fn contains(&self, hash: u32) -> bool {
        self.bytes.as_chunks::<4>().0.binary_search(&hash.to_be_bytes()).is_ok()
    }
}

/// A candidate as ranked by one of the two searches, vector or lexical.
#[derive(Clone, PartialEq, Debug)]
pub struct RankedCandidate {
    /// The passage, without its text.
    pub candidate: Candidate,
    /// Cosine similarity for the vector search, BM25 for the lexical one.
    pub score: f32,
    /// The score divided by the highest score that any passage could have for this query, 0 to 1, which makes it
    /// comparable between queries. Query words that occur in no document lower it.
    pub normalized_score: f32,
}

/// A passage in the fused ranking of both searches.
#[derive(Clone, PartialEq, Debug)]
pub struct Hit {
    /// The passage and its position.
    pub passage: Passage,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity to the query, if the vector search found it.
    pub similarity: Option<f32>,
    /// BM25 score, if the lexical search found it.
    pub bm25: Option<f32>,
    /// The reranker's score, 0 to 1, if it was reranked.
    pub rerank_score: Option<f32>,
    /// The text around it, if requested.
    pub surrounding_text: SurroundingText,
    /// What of the query it contains, if requested.
    pub explanation: Option<HitExplanation>,
}

/// What of a query a hit contains. Words are as the query spells them, in lower case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HitExplanation {
    /// Words of the query that occur in the hit, in any inflection.
    pub words: Vec<String>,
    /// Words of the query that occur in the hit only by a synonym.
    pub synonyms: Vec<SynonymMatch>,
    /// Plant tags of the query that occur in the hit, normalized: `P101A` for `P-101A`.
    pub tags: Vec<String>,
}

/// A synonym that stands for words of the query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SynonymMatch {
    /// The words of the query.
    pub words: String,
    /// The synonym as the glossary spells it.
    pub synonym: String,
    /// Which glossary it is from.
    pub source: GlossarySource,
}

/// The text around a passage in its document: at most one passage in each direction, without the part that overlaps
/// with it. It is never classified higher than the passage itself, and is never cited.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SurroundingText {
    /// Text before the passage.
    pub before: Option<String>,
    /// Text after the passage.
    pub after: Option<String>,
}

/// The result of a search.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Retrieval {
    /// Hits in descending order of relevance.
    pub hits: Vec<Hit>,
    /// How well the best hits match the query, 0 to 1.
    pub confidence: f32,
    /// Model that reranked the best candidates; `None` if they were not reranked.
    pub reranked_by: Option<String>,
    /// One of the two searches was unavailable; the result is from the other alone.
    pub degraded: bool,
    /// Whether the best hits are good enough to answer from.
    pub answerable: bool,
}

impl Retrieval {
    /// Adds what was found in another space: the hits of both, as their comparable scores order them.
    pub fn merge(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.confidence = self.confidence.max(other.confidence);
        self.degraded |= other.degraded;
        self.answerable |= other.answerable;
    }
}

impl HasClassification for Passage {
    fn classification(&self) -> Classification {
        self.classification
    }
}

/// The surrounding text does not count, because it is never classified higher than the passage.
impl HasClassification for Hit {
    fn classification(&self) -> Classification {
        self.passage.classification()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_contain_exactly_their_hashes_after_a_round_trip_through_bytes() {
        let hashes = [7, u32::MAX, 0, 256, 7, 0x8000_0001];
        let terms = PassageTerms::from_bytes(PassageTerms::new(hashes).as_bytes().to_vec());
        assert_eq!(terms.as_bytes().len(), 4 * 5, "without duplicates");
        assert!(hashes.iter().all(|hash| terms.contains(*hash)));
        assert!([1, 6, 8, 255, 257, 0x0100_0000, u32::MAX - 1].iter().all(|hash| !terms.contains(*hash)));
        assert!(!PassageTerms::default().contains(0));
    }
}
