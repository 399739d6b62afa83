//! Memories: facts that a user asked the platform to remember.

use crate::classified::HasClass;
use crate::ids::MemoryId;
use crate::role::Classification;
use crate::time::Timestamp;

/// A remembered fact, owned by one user.
#[derive(Clone, PartialEq, Debug)]
pub struct Memory {
    /// UUIDv7, chosen by the application.
    pub id: MemoryId,
    /// The fact, as it is inserted into prompts.
    pub content: String,
    /// Importance, 0 to 1; prompts contain the most important memories first.
    pub importance: f64,
    /// Labels that filters match exactly.
    pub tags: Vec<String>,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

impl HasClass for Memory {
    fn class(&self) -> Classification {
        self.classification
    }
}
