//! Use cases: conversations, chat turns, documents, search.

pub mod error;
pub mod services;
