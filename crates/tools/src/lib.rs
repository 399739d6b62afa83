//! The tool gateway, document ingestion and retrieval.

pub mod error;
pub mod gateway;
pub mod ingest;
pub mod retrieval;
