//! Authentication and the hard gate: decide, audit, grant.

pub mod caller;
pub mod error;
pub mod gate;
