//! What a user asked the platform to remember.

use crate::classified::HasClass;
use crate::ids::MemoryId;
use crate::role::Classification;
use crate::time::Timestamp;

/// A remembered fact, owned by one user.
#[derive(Clone, PartialEq, Debug)]
pub struct Memory {
    /// Id.
    pub id: MemoryId,
    /// The fact.
    pub content: String,
    /// 0 to 1; the most important ones go into the prompt first.
    pub importance: f64,
    /// Tags.
    pub tags: Vec<String>,
    /// How far it may travel.
    pub classification: Classification,
    /// When it was made.
    pub created_at: Timestamp,
}

impl HasClass for Memory {
    fn class(&self) -> Classification {
        self.classification
    }
}
