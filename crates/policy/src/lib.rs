//! Authentication and the policy gate, which decides, audits and executes commands.
//!
//! [`authn`] turns a bearer token into a [`caller::Caller`]. [`gate::Gate`] is the only way from the gateway to the
//! runtime: it reads user and tenant again, asks the [`matrix`], checks the ownership of the target, commits an intent
//! row, runs the use case, and records the outcome. If the intent cannot be recorded, the use case does not run.
//!
//! ```
//! use domain::role::{Operation, Resource, Role};
//! use domain::rights::Reach;
//! use policy::operations::role_reach;
//!
//! assert_eq!(role_reach(Role::User, Resource::Documents, Operation::Delete), Some(Reach::Own));
//! assert_eq!(role_reach(Role::Viewer, Resource::Documents, Operation::Delete), None);
//! ```
//!
//! `cargo run -p policy --example decide` shows an allowed and a refused command with their audit rows. The feature
//! `mocks` provides [`gate::MockGate`].

pub mod authn;
pub mod caller;
mod decision;
mod dispatch;
pub mod error;
pub mod gate;
mod idempotency;
pub mod keyed_hash;
pub mod matrix;
pub mod operations;
mod ownership;
pub mod rules;
