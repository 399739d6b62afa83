//! Passages found for a query.

use crate::classified::HasClass;
use crate::ids::{ChunkId, DocumentId};
use crate::role::Classification;
use serde::{Deserialize, Serialize};

/// What to search in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchFilters {
    /// Only these documents; empty means all.
    pub document_ids: Vec<DocumentId>,
    /// Only documents with at least one of these tags; empty means all.
    pub tags: Vec<String>,
    /// Only documents of this kind.
    pub doc_type: Option<String>,
    /// Also documents that another has taken the place of, and those that are not in force yet.
    pub include_superseded: bool,
}

/// Where passages may come from: the caller's filters and, always, the caller's clearance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchScope {
    /// The caller's filters.
    pub filters: SearchFilters,
    /// Nothing classified higher is looked at; filtered in SQL, before ranking.
    pub clearance: Classification,
}

/// A passage with where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Passage {
    /// UUIDv7 of the passage.
    pub chunk_id: ChunkId,
    /// Document that the passage is part of.
    pub document_id: DocumentId,
    /// Place in the document, from 0.
    pub chunk_index: i32,
    /// The document's file name.
    pub doc: String,
    /// The document's title.
    pub title: String,
    /// Page in the file, from 1.
    pub page: Option<u32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Text of the passage.
    pub content: String,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
}

/// A passage as one side of the search ranks it.
#[derive(Clone, PartialEq, Debug)]
pub struct RankedPassage {
    /// Passage with its position.
    pub passage: Passage,
    /// Cosine similarity on the vector side, BM25 on the lexical one.
    pub score: f32,
    /// The score as a share of the highest that any passage could have for the query, 0 to 1: the same from query to
    /// query. Words of the query that stand nowhere count as missed.
    pub share: f32,
}

/// A passage as fused.
#[derive(Clone, PartialEq, Debug)]
pub struct Hit {
    /// Passage with its position.
    pub passage: Passage,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// Cosine similarity to the query, if the vector side found it.
    pub similarity: Option<f32>,
    /// BM25, if the lexical side found it.
    pub bm25: Option<f32>,
    /// What the reranker says of it, 0 to 1, if one ranked it.
    pub rerank: Option<f32>,
    /// What stands around it, if that was asked for.
    pub surroundings: Surroundings,
}

/// The texts that stand around a passage in its document, at most one passage each way, without what they share with
/// it. They are never classified higher than the passage itself, and are never cited.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// What stands before it.
    pub before: Option<String>,
    /// What stands after it.
    pub after: Option<String>,
}

/// What a search found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Retrieval {
    /// Hits, the best first.
    pub hits: Vec<Hit>,
    /// How well the best hits match the query as a whole, 0 to 1.
    pub confidence: f32,
    /// The model that put the best candidates in order; `None` where none did.
    pub reranked_by: Option<String>,
    /// One side was down: the result is from the other alone.
    pub degraded: bool,
    /// Whether the best hits are good enough to answer from.
    pub answerable: bool,
}

impl HasClass for Passage {
    fn class(&self) -> Classification {
        self.classification
    }
}

/// What stands around a passage is never classified higher than the passage.
impl HasClass for Hit {
    fn class(&self) -> Classification {
        self.passage.class()
    }
}
