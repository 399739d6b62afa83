//! Runs: an agent works on input that carries a classification (confidentiality) in the loop model → tools → model,
//! writes events, and is completed by the finisher of its use case.
//!
//! [`runner::Runner`] starts a run as a separate task. [`reply_loop`] is the loop; it does not depend on conversations.
//! Whatever happens to the loop or its readers, [`finish`] records the run's model calls in the ledger and writes one
//! audit outcome, in the same transaction as the record of the use case's [`finish::Finisher`]. A chat turn is a run;
//! so is a direct request, with the client's own messages and tools.
//!
//! With [`shared`], other processes read and cancel the runs of this one. A [`side_call`] is a small model call in
//! addition to those of a run, such as for a title.
//!
//! A module imports only from lines further down:
//!
//! 1. `runner`
//! 2. `concurrency`, `execute`, `shared`, `supervise`
//! 3. `parts`
//! 4. `reply_loop`, `side_call`
//! 5. `finish`, `model_reply`, `plant_readings`, `retrieve`
//! 6. `question_rewrite`, `tool_calls`
//! 7. `context`, `tool_results`
//! 8. `budget_reservation`, `event_log`, `progress`
//! 9. `definition`
//! 10. `input`
//! 11. `agent`
//! 12. `answer`
//! 13. `citation_markers`, `grounding`
//! 14. `budget`, `call_recorder`, `citations`, `end`, `model_access`, `plant_data_query`, `ports`, `provenance`,
//!     `sanitize`, `soft_limits`, `tier`

pub mod agent;
pub mod answer;
pub mod budget;
pub mod budget_reservation;
mod call_recorder;
mod citation_markers;
pub mod citations;
mod concurrency;
mod context;
pub mod definition;
mod end;
mod event_log;
mod execute;
pub mod finish;
mod follower;
mod grounding;
pub mod input;
pub mod model_access;
mod model_reply;
mod parts;
pub mod plant_data_query;
pub mod plant_readings;
pub mod ports;
pub mod progress;
pub mod provenance;
mod question_rewrite;
mod reply_loop;
pub mod retrieve;
pub mod runner;
pub mod sanitize;
pub mod shared;
pub mod side_call;
mod soft_limits;
mod supervise;
pub mod tier;
pub mod tool_calls;
mod tool_results;

pub use end::RunEnd;
pub use event_log::Replay;
