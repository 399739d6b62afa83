//! Use cases: conversations, chat turns, documents, search.
//!
//! Each use case implements [`use_case::UseCase`] for one command. It takes the command as
//! [`domain::authorized::Authorized`], which proves that the gate has authorized and recorded it. It manages its own
//! transactions; none is open while a model streams, an embedding runs or a tool is called.
//!
//! [`chat::ChatService`] runs the answering agent in a separate task, so that the answer is stored with its citations
//! and one audit outcome even if the reader disconnects. Rules are pure functions that need no store:
//!
//! ```
//! use domain::command::RetrievalMode;
//! use runtime::chat::auto_search::needs_search;
//!
//! assert!(needs_search(RetrievalMode::Auto, "What torque do the casing bolts get?", false));
//! assert!(!needs_search(RetrievalMode::Auto, "Thank you very much.", false));
//! ```
//!
//! `cargo run -p runtime --example chat` shows a complete turn. The feature `mocks` adds a mock of all use cases.

pub mod access_tokens;
pub mod administration;
mod agents;
pub mod approvals;
pub mod audit_trail;
pub mod channels;
pub mod chat;
pub mod configuration;
pub mod connectors;
pub mod conversations;
pub mod documents;
pub mod error;
pub mod feedback;
mod follow_up;
pub mod glossary;
pub mod goals;
mod language;
pub mod maintenance;
pub mod mcp_servers;
pub mod memories;
pub mod models;
pub mod plant;
pub mod plant_process;
pub mod plant_reader;
mod privacy;
pub mod prompt;
mod run;
pub mod search;
pub mod sessions;
pub mod teams;
pub mod tenant_mappings;
mod trace_link;
pub mod use_case;
mod withheld;
pub mod worker;
