//! Ingestion: from the bytes of an uploaded file to the chunks that retrieval searches.

pub mod chunk;
pub mod readers;
pub mod accept;
