//! Models that run in this process, used when no model server is configured.
//!
//! They run on the CPU; no data leaves the machine.

pub mod embed;
pub mod extract;
