//! Commands on search and memories.

use super::command;
use crate::ids::MemoryId;
use crate::memory::Memory;
use crate::page::{Page, PageRequest};
use crate::search::{Retrieval, SearchFilters};
use crate::text::{MemoryText, QueryText, ShortText};
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
}
command! {
    SearchDocuments: Read Search as "search.query" -> Retrieval,
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
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMemories: List Memories as "memory.list" -> Page<Memory>, transaction Shared);

/// Store a memory of the caller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMemory {
    /// Text that future prompts of this user contain.
    pub content: MemoryText,
    /// Importance, 0 to 1; prompts contain the most important memories first.
    pub importance: f64,
    /// Labels for the user's own use.
    pub tags: Vec<ShortText>,
}
command! {
    CreateMemory: Create Memories as "memory.create" -> Memory,
    transaction Shared,
    id(memory => memory.id)
}

/// Delete a memory of the caller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteMemory {
    /// The memory; must be the caller's own.
    pub id: MemoryId,
}
command!(DeleteMemory: Delete Memories as "memory.delete" -> (), target Memory(id), transaction Shared);
