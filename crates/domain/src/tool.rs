//! The agent's tools: specifications, calls and results.

use crate::classified::HasClassification;
use crate::document::Document;
use crate::ledger::CallOrigin;
use crate::memory::Memory;
use crate::rights::Permission;
use crate::role::{Classification, string_enum};
use crate::search::{Passage, Retrieval};
use serde_json::Value;

string_enum! {
    /// The built-in tools. None of them writes to a plant system.
    ToolName {
        /// Search over ingested documents.
        RagSearch = "rag_search",
        /// The text of one document.
        DocumentRead = "document_read",
        /// List of the documents that the user may see.
        DocumentList = "document_list",
        /// The user's memories.
        MemoryRead = "memory_read",
    }
}

/// Specification of a tool, as listed in the tool manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolSpec {
    /// Name that the model calls it by.
    pub name: ToolName,
    /// Description of the tool for the model.
    pub description: &'static str,
    /// Permission that the caller needs.
    pub required_permission: Permission,
    /// Whether it writes to a plant system. The registry rejects such tools, regardless of the caller's role.
    pub writes_to_plant: bool,
    /// JSON Schema of the arguments; unknown arguments are rejected.
    pub parameters: Value,
}

/// A tool call. Tenant and user are never arguments; they come from the permit.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCall {
    /// Id that links the call to its result.
    pub call_id: String,
    /// The requested name, which may not be a known tool.
    pub name: String,
    /// The arguments: a JSON object. Anything else is refused, such as the text of a model that wrote no valid JSON.
    pub arguments: Value,
    /// Conversation and run that the call is part of.
    pub origin: CallOrigin,
}

/// What a tool returned.
#[derive(Clone, PartialEq, Debug)]
pub enum ToolResult {
    /// Passages that a search found.
    Retrieval(Retrieval),
    /// Passages of one document, in order.
    DocumentText {
        /// Document that contains the passages.
        document: Box<Document>,
        /// Passages of the document, in order.
        passages: Vec<Passage>,
        /// Whether the document has more passages than were returned.
        truncated: bool,
    },
    /// Documents, newest first.
    Documents(Vec<Document>),
    /// Memories, most important first.
    Memories(Vec<Memory>),
}

impl HasClassification for ToolResult {
    fn classification(&self) -> Classification {
        match self {
            Self::Retrieval(found) => found.hits.classification(),
            Self::DocumentText { document, passages, .. } => document.classification().max(passages.classification()),
            Self::Documents(documents) => documents.classification(),
            Self::Memories(memories) => memories.classification(),
        }
    }
}
