//! The domain model that all layers share. Nothing in this crate does I/O.
//!
//! Three types enforce the platform's central invariants. A [`scope::TenantScope`] states for which tenant and actor
//! work runs; an [`authorized::AuditReceipt`] proves that an audit row was written; an [`authorized::Authorized`]
//! command proves that the policy gate allowed it. Their constructors are public, but clippy bans them outside the
//! single place that may create each of them, so code that skips a tenant, an audit row or a decision fails the lint.
//!
//! The [`ports`] are the traits through which upper layers call lower ones; the lower layers implement them. The
//! feature `mocks` provides mockall mocks; in-memory implementations are in the separate package `tests/fakes`.
//!
//! ```
//! use domain::role::{Classification, Role};
//!
//! assert!(Role::Admin > Role::Viewer);
//! assert_eq!("restricted".parse(), Ok(Classification::Restricted));
//! ```

pub mod access_token;
pub mod address_kind;
pub mod agent;
pub mod approval;
pub mod assigned_role;
pub mod audit;
pub mod authorized;
pub mod backend_health;
pub mod budget;
pub mod channel;
mod chat_options;
mod citation;
pub mod classified;
pub mod command;
pub mod conversation;
pub mod credential;
pub mod decision;
mod digest;
pub mod document;
pub mod error;
pub mod feedback;
pub mod glossary;
pub mod goal;
pub mod idempotency;
pub mod identifiers;
pub mod ids;
pub mod json_value;
pub mod ledger;
pub mod login;
pub mod maintenance;
pub mod mapping;
pub mod mcp;
pub mod memory;
pub mod model;
pub mod model_call;
pub mod model_id;
mod model_tier;
pub mod page;
pub mod plant;
pub mod ports;
pub mod privacy;
mod refusal;
pub mod retry;
pub mod rights;
pub mod role;
pub mod run;
pub mod scope;
pub mod search;
mod served_by;
pub mod session;
pub mod space;
mod store_error;
pub mod team;
pub mod tenant;
pub mod tenant_change;
pub mod text;
pub mod time;
mod token_usage;
pub mod tool;
pub mod transaction;
pub mod untrusted;
pub mod upload;
pub mod user;
pub mod work_order;
