//! Use cases: conversations, chat turns, documents, search.
//!
//! Each takes an [`domain::authorized::Authorized`] command, so nothing here runs undecided or unrecorded, and owns its
//! transactions: none is open while a model streams, an embedding runs or a tool calls out.

pub mod administration;
pub mod audit_trail;
pub mod chat;
pub mod conversations;
pub mod documents;
pub mod error;
pub mod memories;
pub mod search;
pub mod services;
pub mod worker;
