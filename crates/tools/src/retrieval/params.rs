//! Search parameters. The defaults were tuned on the evaluation set; see ADR 11 for the confidence models.

use super::glossary::Synonym;

/// How the results of vector search and lexical search are fused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fusion {
    /// Weighted sum of the cosine similarity and the normalized BM25 score.
    #[default]
    WeightedSum,
    /// Reciprocal rank fusion: the sum of 1 / (60 + rank), with equal weights.
    ReciprocalRank,
    /// Vector search only.
    Dense,
    /// Lexical search only.
    Lexical,
}

/// How candidates are fetched, fused, ranked and rated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetrievalParams {
    /// Maximum number of passages fetched by each of vector search and lexical search.
    pub candidates: u32,
    /// How much synonyms of the query's words count in the lexical search. Off: with 0.4 for all, they cost the demo
    /// plant's questions three points of hit@1 (.88 instead of .91).
    pub glossary: GlossaryWeights,
    /// How much a word counts in the lexical search that passages use which answer this kind of question, relative to a
    /// word of the query, 0 to 1: `cause` for a question that begins with `why`.
    pub answer_word_weight: f32,
    /// How the two lists are fused.
    pub fusion: Fusion,
    /// Weight of the BM25 score in the fused score, 0 to 1; the similarity has the rest.
    pub lexical_weight: f32,
    /// How much passages of documents whose `doc_type` suits the kind of the question are preferred: their score is
    /// multiplied by 1 plus this, from 0. Off: not measured.
    pub doc_type_weight: f32,
    /// Page bonus: this fraction of the second best score of a page is added to the page's best passage.
    pub page_bonus: f32,
    /// Maximum number of hits from one page while other pages have candidates left.
    pub max_hits_per_page: usize,
    /// Two passages are duplicates if the Jaccard similarity of their word trigrams is at least this (0 to 1), and they
    /// contain the same numbers and tags.
    pub duplicate_overlap: f32,
    /// Confidence model for hybrid search.
    pub confidence: ConfidenceModel,
    /// Confidence model for lexical search alone, when there is no query vector.
    pub lexical_confidence: ConfidenceModel,
    /// Minimum confidence at which a question counts as answerable, 0 to 1.
    pub min_confidence: f32,
    /// Number of best hits that the confidence is computed from.
    pub evidence_hits: usize,
}

/// Weights of the glossary's synonyms relative to a word of the query, 0 to 1. A synonym of weight 0 is not used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GlossaryWeights {
    /// Of terms in another language than the query's, which find what the query's own words cannot.
    pub across_languages: f32,
    /// Of terms in the query's language, which stand beside the query's own words.
    pub within_language: f32,
}

impl GlossaryWeights {
    /// Queries are not expanded.
    pub const OFF: Self = Self { across_languages: 0.0, within_language: 0.0 };

    /// The weight of a synonym.
    #[must_use]
    pub fn of(self, synonym: &Synonym) -> f32 {
        if synonym.is_translation { self.across_languages } else { self.within_language }
    }
}

/// Confidence model: a logistic regression with two features, calibrated on questions with and without an answer
/// (ADR 11).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConfidenceModel {
    /// Intercept, in log odds.
    pub bias: f32,
    /// Coefficient of the best hit's score.
    pub strength: f32,
    /// Coefficient of the weighted share of missing words; the product is subtracted.
    pub missing_words: f32,
}

impl ConfidenceModel {
    /// Probability that the hits answer the query, 0 to 1. `strength` is the best hit's score, `missing_share` the
    /// weighted share of the query's words that occur in no candidate, both 0 to 1.
    #[must_use]
    pub fn probability(&self, strength: f32, missing_share: f32) -> f32 {
        let log_odds = self.bias + self.strength * strength - self.missing_words * missing_share;
        1.0 / (1.0 + (-log_odds).exp())
    }
}

impl Default for RetrievalParams {
    fn default() -> Self {
        Self {
            candidates: 200,
            glossary: GlossaryWeights::OFF,
            answer_word_weight: 0.5,
            fusion: Fusion::WeightedSum,
            lexical_weight: 0.4,
            doc_type_weight: 0.0,
            page_bonus: 0.15,
            max_hits_per_page: 2,
            duplicate_overlap: 0.9,
            confidence: ConfidenceModel { bias: -1.7, strength: 10.3, missing_words: 4.1 },
            lexical_confidence: ConfidenceModel { bias: 0.1, strength: 7.0, missing_words: 3.8 },
            min_confidence: 0.56,
            evidence_hits: 5,
        }
    }
}
