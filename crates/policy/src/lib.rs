//! Authentication and the hard gate: decide, audit, grant.
//!
//! [`authn`] turns a bearer token into a [`caller::Caller`]. [`gate::Gate`] is the only way from the gateway to the
//! runtime: it reads user and tenant afresh, asks the [`matrix`], looks up whose the thing is, commits an intent row,
//! runs the use case, and records the outcome. Where the row cannot be written, nothing runs.
//!
//! ```
//! use domain::role::{Operation, Resource, Role};
//! use policy::matrix::{Reach, reach};
//!
//! assert_eq!(reach(Role::User, Resource::Documents, Operation::Delete), Some(Reach::Own));
//! assert_eq!(reach(Role::Viewer, Resource::Documents, Operation::Delete), None);
//! ```
//!
//! `cargo run -p policy --example decide` shows an allowed and a refused command with their audit rows. The feature
//! `mocks` has a mockall mock of the gate.

pub mod again;
pub mod authn;
pub mod caller;
mod decision;
pub mod error;
pub mod gate;
pub mod keyed_hash;
pub mod matrix;
mod ownership;
