//! The provenance of an answer: its classification and its sources.

use domain::conversation::Sources;
use domain::role::Classification;

/// The highest classification of everything that an answer is based on, and the documents that it is based on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provenance {
    pub classification: Classification,
    pub sources: Sources,
}

impl Default for Provenance {
    fn default() -> Self {
        Self { classification: Classification::Public, sources: Sources::default() }
    }
}

impl Provenance {
    /// Merges another provenance into this one. Never lowers the classification.
    pub fn merge(&mut self, other: &Self) {
        self.classification = self.classification.max(other.classification);
        self.sources.merge(&other.sources);
    }
}
