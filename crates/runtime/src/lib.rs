//! Use cases: conversations, chat turns, documents, search.
//!
//! Each is a [`use_case::UseCase`] of one command and takes it as [`domain::authorized::Authorized`], so nothing here runs
//! undecided or unrecorded. It owns its transactions: none is open while a model streams, an embedding runs or a tool
//! calls out.
//!
//! [`chat::ChatService`] writes an answer as a task of its
//! own: whatever becomes of the reader, the answer is stored with its citations and one audit outcome. The middle is
//! pure functions that need no store:
//!
//! ```
//! use domain::command::RetrievalMode;
//! use runtime::chat::intent::wants_documents;
//!
//! assert!(wants_documents(RetrievalMode::Auto, "What torque do the casing bolts get?"));
//! assert!(!wants_documents(RetrievalMode::Auto, "Thank you very much."));
//! ```
//!
//! `cargo run -p runtime --example chat` shows a whole turn. The feature `mocks` has a mock of all use cases.

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
pub mod search;
pub mod tenant_mappings;
pub mod use_case;
mod withheld;
pub mod worker;
