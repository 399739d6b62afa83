//! Ingestion: turns the bytes of an uploaded file into the chunks that retrieval searches.

pub mod accept;
mod admission;
pub mod chunk;
mod chunk_params;
mod embed;
mod failure;
mod inner;
pub mod isolate;
pub mod ocr;
mod pipeline;
mod progress;
mod read;
pub mod readers;
mod record;
mod reindex;
mod service;
mod settings;
mod upload;

pub use chunk_params::{Chunking, chunk_params};
pub use service::DocumentIngest;
pub use settings::{IngestPorts, IngestSettings};
