//! The tool gateway, document ingestion and retrieval.

pub mod builtin;
pub mod describe;
pub mod error;
pub mod gateway;
pub mod ingest;
pub mod registry;
pub mod retrieval;
pub mod tool;
