//! The embedded models: what the platform answers and searches with where no model server is configured.
//!
//! They run in this process on its processors; nothing leaves the machine.

pub mod embed;
pub mod extract;
