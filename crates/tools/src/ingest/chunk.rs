//! Chunks
