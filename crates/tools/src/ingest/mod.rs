//! Ingestion: from the bytes of an uploaded file to the chunks that retrieval searches.

pub mod accept;
pub mod chunk;
pub mod readers;
