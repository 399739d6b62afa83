//! Runs: an agent works on classified input in the loop model → tools → model, writes events, and is completed by the
//! finisher of its use case.
//!
//! [`runner::Runner`] starts a run as a separate task. [`execute`] is the loop; it does not depend on conversations.
//! Whatever happens to the loop or its readers, [`finish`] stores the ledger entries and one audit outcome, in the same
//! transaction as the record of the use case's [`finish::Finisher`]. A chat turn is a run; so is a direct request, with
//! the client's own messages and tools.
//!
//! With [`shared`], other processes read and cancel the runs of this one.
//!
//! Modules import only from modules further down: `runner`, then `shared`, then `execute`, `supervise` and `finish`,
//! then `retrieve`, `rewrite`, `reply` and `tool_calls`, then `context`, then the data of a run (`definition`,
//! `progress` and what they hold).

pub mod agent;
pub mod answer;
pub mod budget;
mod call_recorder;
pub mod citations;
mod concurrency;
mod context;
pub mod definition;
mod end;
mod execute;
pub mod finish;
pub mod input;
mod log;
mod markers;
pub mod model_access;
pub mod ports;
pub mod progress;
pub mod provenance;
mod reply;
pub mod reserve;
pub mod retrieve;
mod rewrite;
pub mod runner;
pub mod sanitize;
pub mod shared;
pub mod side_call;
mod soft_limits;
mod supervise;
mod support;
pub mod tier;
pub mod tool_calls;
mod tool_results;

pub use end::RunEnd;
pub use log::Replay;
