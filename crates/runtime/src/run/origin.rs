//! What an answer is made from.

use domain::conversation::Sources;
use domain::role::Classification;

/// The highest class of what an answer is made from, and the documents among it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    pub class: Classification,
    pub sources: Sources,
}

impl Default for Origin {
    fn default() -> Self {
        Self { class: Classification::Public, sources: Sources::default() }
    }
}

impl Origin {
    /// Adds another origin. The class never gets lower.
    pub fn extend(&mut self, other: &Self) {
        self.class = self.class.max(other.class);
        self.sources.extend(&other.sources);
    }
}
