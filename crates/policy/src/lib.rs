//! Authentication and the hard gate: decide, audit, grant.

pub mod authn;
pub mod caller;
pub mod error;
pub mod gate;
pub mod keyed_hash;
pub mod matrix;
mod ownership;
