//! Tools: what an agent may use, and what came of it.

use crate::classified::HasClass;
use crate::document::Document;
use crate::ledger::CallContext;
use crate::memory::Memory;
use crate::rights::Permission;
use crate::role::{Classification, string_enum};
use crate::search::{Passage, Retrieval};
use serde_json::Value;

string_enum! {
    /// The tools of this version. None writes to a plant system.
    ToolName {
        /// Search over ingested documents.
        RagSearch = "rag_search",
        /// The text of one document.
        DocumentRead = "document_read",
        /// The documents the user may see.
        DocumentList = "document_list",
        /// What the user asked to remember.
        MemoryRead = "memory_read",
    }
}

/// A tool as the manifest names it.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolSpec {
    /// Name that the model calls it by.
    pub name: ToolName,
    /// What it does, for the model.
    pub description: &'static str,
    /// What its caller must be allowed to do.
    pub requires: Permission,
    /// Whether it changes a plant system. The registry refuses such tools in this version, whatever the role.
    pub writes: bool,
    /// JSON Schema of the arguments; unknown arguments are refused.
    pub parameters: Value,
}

/// A call to a tool. Tenant and user are never arguments: they come from the permit.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCall {
    /// Ties the call to its result.
    pub call_id: String,
    /// The name as asked for, which may be no tool at all.
    pub name: String,
    /// The arguments: a JSON object.
    pub arguments: Value,
    /// What it is part of.
    pub context: CallContext,
}

/// What a tool returned.
#[derive(Clone, PartialEq, Debug)]
pub enum ToolResult {
    /// Passages that a search found.
    Retrieval(Retrieval),
    /// Passages of one document, in order.
    Text {
        /// Document that it belongs to.
        document: Box<Document>,
        /// Passages of the document, in order.
        passages: Vec<Passage>,
        /// There is more than was returned.
        truncated: bool,
    },
    /// Documents, newest first.
    Documents(Vec<Document>),
    /// Memories, most important first.
    Memories(Vec<Memory>),
}

impl HasClass for ToolResult {
    fn class(&self) -> Classification {
        match self {
            Self::Retrieval(found) => found.hits.class(),
            Self::Text { document, passages, .. } => document.class().max(passages.class()),
            Self::Documents(documents) => documents.class(),
            Self::Memories(memories) => memories.class(),
        }
    }
}
