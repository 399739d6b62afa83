//! Commands on search and memories.

use super::command;
use crate::ids::MemoryId;
use crate::memory::Memory;
use crate::page::{Page, PageRequest};
use crate::search::{Retrieval, SearchFilters};
use crate::text::{Label, MemoryText, QueryText};
use serde::Serialize;

/// Search the documents.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SearchDocuments {
    /// What for.
    pub query: QueryText,
    /// Most hits, 1 to [`Self::MAX_TOP_K`].
    pub top_k: u32,
    /// Where.
    pub filters: SearchFilters,
}
command!(SearchDocuments: Read Search as "search.query" -> Retrieval, documents filters.document_ids);

impl SearchDocuments {
    /// Hits unless the caller says otherwise.
    pub const DEFAULT_TOP_K: u32 = 5;
    /// Most hits.
    pub const MAX_TOP_K: u32 = 50;
}

/// List the caller's memories.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListMemories {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListMemories: List Memories as "memory.list" -> Page<Memory>);

/// Remember something.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateMemory {
    /// What.
    pub content: MemoryText,
    /// 0 to 1.
    pub importance: f64,
    /// Tags.
    pub tags: Vec<Label>,
}
command!(CreateMemory: Create Memories as "memory.create" -> Memory, id(memory => memory.id));

/// Forget something.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteMemory {
    /// Which one.
    pub id: MemoryId,
}
command!(DeleteMemory: Delete Memories as "memory.delete" -> (), target Memory(id));
