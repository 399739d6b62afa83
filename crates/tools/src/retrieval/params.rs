//! The numbers of the search. Each default was measured or calibrated; the places say how.

use super::Fusion;

/// How passages are gathered, fused, ranked and judged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetrievalParams {
    /// Most passages taken from each side, the vectors' and the words'.
    pub candidates: u32,
    /// How the two sides become one list.
    pub fusion: Fusion,
    /// Share of the lexical side in the fused score, 0 to 1; the rest is the vectors'.
    pub lexical_weight: f32,
    /// How much of a page's second best passage is added to its best one.
    pub second_on_page: f32,
    /// Most passages of one page, as long as other pages have any.
    pub per_page: usize,
    /// Two passages that share at least this part of their word triples, and all of their numbers and tags, count as
    /// one, 0 to 1.
    pub duplicate_overlap: f32,
    /// Cosine similarity that says nothing: unrelated texts of the embedding model reach it.
    pub similarity_floor: f32,
    /// Cosine similarity of a passage that plainly answers.
    pub similarity_ceiling: f32,
    /// Share of the similarity in the confidence, 0 to 1; the rest is the coverage of the query's words.
    pub similarity_weight: f32,
    /// Confidence from which the hits are good enough to answer from, 0 to 1.
    pub answer_from: f32,
    /// The same where the vector side is down and the words alone decide.
    pub answer_from_words: f32,
    /// How many of the best hits have to bear the answer.
    pub evidence_hits: usize,
}

impl Default for RetrievalParams {
    fn default() -> Self {
        Self {
            candidates: 200,
            fusion: Fusion::MinMax,
            lexical_weight: 0.5,
            second_on_page: 0.15,
            per_page: 3,
            duplicate_overlap: 0.9,
            similarity_floor: 0.15,
            similarity_ceiling: 0.65,
            similarity_weight: 0.4,
            answer_from: 0.45,
            answer_from_words: 0.6,
            evidence_hits: 5,
        }
    }
}
