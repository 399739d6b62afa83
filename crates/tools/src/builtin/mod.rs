//! The built-in tools, one file each. All of them are read-only.

mod arguments;
mod document_list;
mod document_read;
mod memory_read;
mod rag_search;

pub use document_list::DocumentList;
pub use document_read::DocumentRead;
pub use memory_read::MemoryRead;
pub use rag_search::RagSearch;
