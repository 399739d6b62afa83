//! The built-in tools, one file each.

mod arguments;
mod calculator;
mod document_list;
mod document_read;
mod memory_read;
mod plant_history_read;
mod plant_system_read;
mod plant_system_write;
mod plant_tag_search;
mod rag_search;

pub use calculator::Calculator;
pub use document_list::DocumentList;
pub use document_read::DocumentRead;
pub use memory_read::MemoryRead;
pub use plant_history_read::PlantHistoryRead;
pub use plant_system_read::PlantSystemRead;
pub use plant_system_write::PlantSystemWrite;
pub use plant_tag_search::PlantTagSearch;
pub use rag_search::RagSearch;
