//! Parameters of the search. Each default was measured or calibrated; the comments say how.

/// How the two ranked lists are fused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fusion {
    /// Weighted sum of the scores, each as a share of its maximum.
    #[default]
    Shares,
    /// Reciprocal ranks with equal weights: 1 / (60 + rank), added.
    ReciprocalRank,
    /// The vector side alone.
    Dense,
    /// The lexical side alone.
    Lexical,
}

/// How candidates are gathered, fused, ranked and rated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetrievalParams {
    /// Largest number of passages taken from each side (vectors and words).
    pub candidates: u32,
    /// How the two lists are fused.
    pub fusion: Fusion,
    /// Weight of the lexical side in the fused score, 0 to 1; the rest is that of the vectors.
    pub lexical_weight: f32,
    /// Share of the second best passage's score on a page that is added to the best one.
    pub second_on_page: f32,
    /// Largest number of hits of one page, as long as other pages have candidates.
    pub per_page: usize,
    /// Passages that share at least this part of their word triples, and all numbers and tags, are duplicates; 0 to 1.
    pub duplicate_overlap: f32,
    /// Confidence model for a search by vectors and words.
    pub confidence: Confidence,
    /// Confidence model for a search by words only, if the vector side is down.
    pub lexical_confidence: Confidence,
    /// Confidence from which hits count as answerable, 0 to 1.
    pub answer_from: f32,
    /// Number of best hits that are rated.
    pub evidence_hits: usize,
}

/// Confidence model: a logistic regression over two values, calibrated on questions with and without an answer (ADR
/// 11).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Confidence {
    /// Log odds of an answer without further information.
    pub bias: f32,
    /// Coefficient of the best hit's score.
    pub strength: f32,
    /// Coefficient of the share of missing words; it is subtracted.
    pub missing: f32,
}

impl Confidence {
    /// Probability that the hits answer, 0 to 1, from the best hit's score and the weighted share of the query's words
    /// that occur in no passage.
    #[must_use]
    pub fn probability(&self, strength: f32, missing: f32) -> f32 {
        let log_odds = self.bias + self.strength * strength - self.missing * missing;
        1.0 / (1.0 + (-log_odds).exp())
    }
}

impl Default for RetrievalParams {
    fn default() -> Self {
        Self {
            candidates: 200,
            fusion: Fusion::Shares,
            lexical_weight: 0.4,
            second_on_page: 0.15,
            per_page: 2,
            duplicate_overlap: 0.9,
            confidence: Confidence { bias: -1.7, strength: 10.3, missing: 4.1 },
            lexical_confidence: Confidence { bias: 0.1, strength: 7.0, missing: 3.8 },
            answer_from: 0.56,
            evidence_hits: 5,
        }
    }
}
