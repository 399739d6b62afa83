//! Ingestion: turns the bytes of an uploaded file into the chunks that retrieval searches.

mod admission;
mod attempt_record;
pub mod chunk;
mod chunk_params;
mod embed;
mod failure;
mod inner;
pub mod interface;
pub mod isolate;
pub mod ocr;
mod pipeline;
mod progress;
mod read_and_chunk;
pub mod readers;
mod reindex;
mod service;
mod settings;
mod upload;

pub use chunk_params::{ChunkSizeOverrides, chunk_params};
pub use service::DocumentIngest;
pub use settings::{IngestPorts, IngestSettings};
