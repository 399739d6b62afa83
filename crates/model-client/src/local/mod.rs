//! Embedded models, used when no model server is configured.
//!
//! They run in this process on the CPU; no data leaves the machine.

pub mod embed;
pub mod extract;
