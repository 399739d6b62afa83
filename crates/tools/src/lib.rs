//! The tool gateway, document ingestion and retrieval.
