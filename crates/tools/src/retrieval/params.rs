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
    /// What hits say of an answer where both sides looked for them.
    pub sureness: Confidence,
    /// The same where the vector side is down and the words alone decide.
    pub sureness_of_words: Confidence,
    /// Confidence from which the hits are good enough to answer from, 0 to 1.
    pub answer_from: f32,
    /// How many of the best hits have to bear the answer.
    pub evidence_hits: usize,
}

/// How sure the hits make of an answer: a logistic regression over two values, calibrated on questions with and without
/// an answer (ADR 11).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Confidence {
    /// The log odds of an answer before anything is known.
    pub bias: f32,
    /// What the score of the best hit adds, at 1.
    pub strength: f32,
    /// What it takes away if all of the query's words stand nowhere.
    pub missing: f32,
}

impl Confidence {
    /// The chance that the hits answer, 0 to 1, from the score of the best and the share of the query's words that stand
    /// in no passage.
    #[must_use]
    pub fn of(&self, strength: f32, missing: f32) -> f32 {
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
            sureness: Confidence { bias: -1.7, strength: 10.3, missing: 4.1 },
            sureness_of_words: Confidence { bias: 0.1, strength: 7.0, missing: 3.8 },
            answer_from: 0.56,
            evidence_hits: 5,
        }
    }
}
