//! Use cases: conversations, chat turns, documents, search.
//!
//! Each is a [`use_case::UseCase`] of one command and takes it as [`domain::authorized::Authorized`], so it was
//! authorized and recorded before. It owns its transactions: none is open while a model streams, an embedding runs or a
//! tool is called.
//!
//! [`chat::ChatService`] runs the agent that answers as a task of its own: whatever happens to the reader, the answer
//! is stored with its citations and one audit outcome. Decisions are pure functions that need no store:
//!
//! ```
//! use domain::command::RetrievalMode;
//! use runtime::chat::intent::wants_documents;
//!
//! assert!(wants_documents(RetrievalMode::Auto, "What torque do the casing bolts get?"));
//! assert!(!wants_documents(RetrievalMode::Auto, "Thank you very much."));
//! ```
//!
//! `cargo run -p runtime --example chat` shows a complete turn. The feature `mocks` adds a mock of all use cases.

pub mod access_tokens;
pub mod administration;
pub mod audit_trail;
pub mod chat;
pub mod configuration;
pub mod conversations;
pub mod documents;
pub mod error;
pub mod memories;
pub mod models;
pub mod prompt;
mod run;
pub mod search;
pub mod tenant_mappings;
pub mod use_case;
mod withheld;
pub mod worker;
