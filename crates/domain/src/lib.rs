//! The platform's vocabulary: what every layer talks about, and nothing that does I/O.
//!
//! Three types carry the platform's constraints. A [`scope::TenantScope`] says for which tenant and actor work runs; an
//! [`authorized::AuditReceipt`] proves that an audit row was written; an [`authorized::Authorized`] command proves that
//! the policy gate let it pass. Their constructors are public but banned by clippy outside the one site that may mint
//! each of them, so work without a tenant, without an audit row or without a decision does not pass the checks.
//!
//! The [`ports`] are the traits that several layers call; the layers below implement them. With the feature `mocks`
//! there are mockall mocks; in-memory implementations are a package of their own, `tests/fakes`.
//!
//! ```
//! use domain::role::{Classification, Role};
//!
//! assert!(Role::Admin > Role::Viewer);
//! assert_eq!("restricted".parse(), Ok(Classification::Restricted));
//! ```

pub mod access_token;
pub mod assigned_role;
pub mod audit;
pub mod authorized;
pub mod budget;
mod chat_options;
pub mod classified;
pub mod command;
pub mod conversation;
pub mod credential;
pub mod decision;
pub mod document;
pub mod error;
pub mod idempotency;
pub mod ids;
pub mod ledger;
pub mod login;
pub mod mapping;
pub mod memory;
pub mod model;
pub mod model_call;
pub mod model_id;
mod model_tier;
pub mod page;
pub mod ports;
mod refusal;
pub mod retry;
pub mod rights;
pub mod role;
pub mod run;
pub mod scope;
pub mod search;
mod served_by;
mod store_error;
pub mod tenant;
pub mod tenant_change;
pub mod text;
pub mod time;
mod token_usage;
pub mod tool;
pub mod untrusted;
pub mod upload;
pub mod user;
