//! Chat and embedding models: OpenAI-compatible servers and the embedded ones.

pub mod local;
