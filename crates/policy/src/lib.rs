//! Authentication and the hard gate: decide, audit, grant.
//!
//! [`authn`] turns a bearer token into a [`caller::Caller`]. [`gate::Gate`] is the only way from the gateway to the
//! runtime: it reads user and tenant afresh, asks the [`matrix`], looks up whose the thing is, commits an intent row,
//! runs the use case, and records the outcome. Where the row cannot be written, nothing runs.
//!
//! ```
//! use domain::role::{Operation, Resource, Role};
//! use domain::rights::Reach;
//! use policy::operations::reach;
//!
//! assert_eq!(reach(Role::User, Resource::Documents, Operation::Delete), Some(Reach::Own));
//! assert_eq!(reach(Role::Viewer, Resource::Documents, Operation::Delete), None);
//! ```
//!
//! `cargo run -p policy --example decide` shows an allowed and a refused command with their audit rows. The feature
//! `mocks` has a mockall mock of the gate.

pub mod authn;
pub mod caller;
mod decision;
pub mod error;
pub mod gate;
pub mod keyed_hash;
pub mod matrix;
pub mod operations;
mod ownership;
pub mod rules;
