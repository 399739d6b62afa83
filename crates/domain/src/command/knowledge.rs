//! Commands on search and memories.

use super::command;
use crate::audit::Change;
use crate::ids::{MemoryId, TeamId};
use crate::memory::{self, Memory, MemoryPatch, MemoryStatus};
use crate::page::{Page, PageRequest};
use crate::search::{Retrieval, SearchFilters};
use crate::text::{MemoryText, QueryText, ShortText};
use crate::time::Timestamp;
use serde::Serialize;

/// Search the documents.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SearchDocuments {
    /// Question or keywords.
    pub query: QueryText,
    /// Maximum number of hits, 1 to [`Self::MAX_TOP_K`].
    pub top_k: u32,
    /// Which documents are considered.
    pub filters: SearchFilters,
    /// Whether each hit says what of the query it contains.
    pub explain: bool,
    /// The team whose documents are searched; `None` for the home space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}
command! {
    SearchDocuments: Read Search as "search.query" -> Retrieval,
    space team,
    documents filters.document_ids,
    transaction Shared
}

impl SearchDocuments {
    /// Number of hits if the caller gives none.
    pub const DEFAULT_TOP_K: u32 = 5;
    /// Maximum number of hits.
    pub const MAX_TOP_K: u32 = 50;
}

/// List the caller's memories.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMemories {
    /// Only memories with this status.
    pub status: Option<MemoryStatus>,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMemories: List Memories as "memory.list" -> Page<Memory>, transaction Shared);

/// Store a memory of the caller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMemory {
    /// Text to include in the user's future prompts.
    pub content: MemoryText,
    /// Importance, 0 to 1; prompts contain the most important memories first.
    pub importance: f64,
    /// Labels for the user's own use.
    pub tags: Vec<ShortText>,
    /// When the memory expires; `None` means never.
    pub expires_at: Option<Timestamp>,
}
command! {
    CreateMemory: Create Memories as "memory.create" -> Memory,
    transaction Shared,
    id(memory => memory.id)
}

/// Change a memory of the caller, or accept a suggested one.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateMemory {
    /// The memory; must be the caller's own.
    pub id: MemoryId,
    /// What to change.
    pub patch: MemoryPatch,
}
command! {
    UpdateMemory: Update Memories as "memory.update" -> Change<Memory>,
    target Memory(id),
    transaction Shared,
    outcome(change => memory::change_metadata(change))
}

/// Delete a memory of the caller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteMemory {
    /// The memory; must be the caller's own.
    pub id: MemoryId,
}
command!(DeleteMemory: Delete Memories as "memory.delete" -> (), target Memory(id), transaction Shared);
