//! Ingestion: from the bytes of an uploaded file to the chunks that retrieval searches.

pub mod accept;
mod admission;
pub mod chunk;
mod embed;
pub mod isolate;
pub mod ocr;
mod pipeline;
mod progress;
mod read;
pub mod readers;
mod record;
mod reindex;
mod service;
mod upload;

pub use embed::{Chunking, chunk_params};
pub use service::{DocumentIngest, IngestPorts, IngestSettings};
