//! Memories: facts about a user that later prompts contain.

use crate::audit::Change;
use crate::classified::HasClass;
use crate::ids::{ConversationId, MemoryId, MessageId};
use crate::role::{Classification, string_enum};
use crate::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// Importance of a memory for which none was given.
pub const DEFAULT_IMPORTANCE: f64 = 0.5;

string_enum! {
    /// Who had the idea to remember something.
    MemoryOrigin {
        /// The user asked for it.
        Explicit = "explicit",
        /// The platform concluded it from what the user wrote.
        Inferred = "inferred",
    }
}

string_enum! {
    /// Whether a memory is used.
    MemoryStatus {
        /// Prompts and tools may contain it.
        Active = "active",
        /// It is used only once its owner makes it active.
        Suggested = "suggested",
    }
}

/// The message in which a memory was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemorySource {
    /// Conversation of the user.
    pub conversation: ConversationId,
    /// The user's message.
    pub message: MessageId,
}

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
    /// Who had the idea to remember it.
    pub origin: MemoryOrigin,
    /// Whether it is used.
    pub status: MemoryStatus,
    /// Class of the content; decides who may see it and which backends may serve it.
    pub classification: Classification,
    /// Where it was said; `None` if it was not said in a conversation, or the conversation was deleted.
    pub source: Option<MemorySource>,
    /// When it ceases to be used; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// When its owner last changed it.
    pub updated_at: Timestamp,
}

impl Memory {
    /// An active memory that its user has asked for outside of a conversation.
    #[must_use]
    pub fn explicit(id: MemoryId, content: String, classification: Classification, now: Timestamp) -> Self {
        Self {
            id,
            content,
            importance: DEFAULT_IMPORTANCE,
            tags: Vec::new(),
            origin: MemoryOrigin::Explicit,
            status: MemoryStatus::Active,
            classification,
            source: None,
            expires_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

impl HasClass for Memory {
    fn class(&self) -> Classification {
        self.classification
    }
}

/// Changes to a memory. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct MemoryPatch {
    /// The text that replaces the fact.
    pub content: Option<String>,
    /// New importance, 0 to 1.
    pub importance: Option<f64>,
    /// New tags; they replace all old ones.
    pub tags: Option<Vec<String>>,
    /// New end, or `Some(None)` for none.
    pub expires_at: Option<Option<Timestamp>>,
    /// Accepts a suggestion.
    pub activate: bool,
}

/// The vector of a memory's content, computed by an embedding model.
#[derive(Clone, PartialEq, Debug)]
pub struct MemoryVector {
    /// The memory as it was when its content was embedded; a vector of earlier content is not stored.
    pub memory: Memory,
    /// Components of the vector, of unit length.
    pub components: Vec<f32>,
}

/// Texts and tags are content, so the audit log records only that they changed.
#[must_use]
pub fn change_metadata(change: &Change<Memory>) -> Value {
    let Change { before, after } = change;
    let fields = [
        ("content", before.content != after.content),
        ("importance", before.importance.to_bits() != after.importance.to_bits()),
        ("tags", before.tags != after.tags),
        ("expires_at", before.expires_at != after.expires_at),
        ("status", before.status != after.status),
    ];
    let changed_fields: Vec<_> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    json!({ "status": after.status, "origin": after.origin, "changed": changed_fields })
}
