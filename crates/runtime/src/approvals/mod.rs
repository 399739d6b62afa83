//! Approvals: a write is requested, decided by people, and executed by the worker ([`process::ApprovalProcessor`]).
//!
//! Each transition is one transaction with its audit event. Output of the model can reach a request, never a decision.

pub(crate) mod audit_events;
mod check;
mod decide;
pub mod error;
mod notice;
mod outbox;
mod policies;
pub mod process;
pub mod request;
mod service;
mod write_attempt;

pub use service::{ApprovalPorts, ApprovalService};
