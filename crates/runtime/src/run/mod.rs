//! One run: an agent, classified material, the loop model → tools → model, events, and a finisher for each use.
//!
//! [`runner::Runner`] starts a run as a task of its own. [`execute`] is the loop; it knows no conversation. Whatever
//! happens to the loop or its readers, [`finish`] stores the ledger entries and one audit outcome, in one transaction
//! with what the use's [`finish::Finisher`] stores. A chat turn is the run of one agent with one step; an answer of a
//! model alone is a run with the client's own messages and tools.
//!
//! Modules import only from modules further down: `runner`, then `execute`, `supervise` and `finish`, then `retrieve`,
//! `reply` and `tool_calls`, then `context`, then the data of a run (`definition`, `progress` and what they hold).

pub mod agent;
pub mod answer;
pub mod budget;
mod call_recorder;
pub mod cite;
mod concurrency;
mod context;
pub mod definition;
mod end;
mod execute;
pub mod finish;
mod inert;
mod log;
pub mod material;
pub mod model_access;
pub mod origin;
pub mod ports;
pub mod progress;
mod reply;
pub mod reserve;
mod retrieve;
pub mod runner;
mod soft_limits;
mod supervise;
pub mod tier;
mod tool_calls;
mod tool_results;

pub use end::RunEnd;
pub use log::Replay;
