//! The tools of this version, one file each. All of them read.

mod arguments;
mod document_list;
mod document_read;
mod memory_read;
mod rag_search;

pub use document_list::DocumentList;
pub use document_read::DocumentRead;
pub use memory_read::MemoryRead;
pub use rag_search::RagSearch;

use crate::error::ToolError;
use domain::ports::StoreError;
use domain::tool::ToolName;

/// Says which tool the store failed.
fn failed(tool: ToolName) -> impl Fn(StoreError) -> ToolError {
    move |source| ToolError::Store { tool: tool.as_str(), source }
}
